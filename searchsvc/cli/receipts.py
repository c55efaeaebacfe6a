"""`receipts`: the full account of an answer that was given, and whether it can be had again."""

from __future__ import annotations

import sys

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from searchsvc.cli.client import ServiceClient, json_option, url_option
from searchsvc.rehearsal.receipts.account import Receipt
from searchsvc.rehearsal.receipts.verification import Verification


@click.group()
def receipts() -> None:
    """Why an answer was what it was."""


@receipts.command()
@click.argument("query_id")
@url_option
@json_option
def show(query_id: str, url: str, as_json: bool) -> None:
    """The account of the answer QUERY_ID: its hits, what they scored and why, by which weights and rules."""
    with ServiceClient(url) as client:
        found = client.call("GET", f"/v1/receipts/{query_id}", Receipt)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
        return
    query = "a sealed query" if found.sealed else repr(found.query)
    table = Table("rank", "id", "score", "words", "vector", "most of it", "", title=f"{query} in {found.index}")
    for hit in found.hits:
        most = sorted(hit.features.items(), key=lambda one: -abs(one[1].contribution))[:3]
        parts = ", ".join(f"{name} {share.contribution:+.3g}" for name, share in most if share.contribution)
        vector = "" if hit.vector is None else f"{hit.vector:.3f}"
        forced = "pinned" if hit.pinned else f"× {hit.rule_factor:g}" if hit.rule_factor != 1.0 else ""
        table.add_row(str(hit.rank), hit.id, f"{hit.score:.4f}", f"{hit.keyword:.3f}", vector, parts, forced)
    Console().print(table)
    segment = f" of segment {found.weights_segment}" if found.weights_segment else ""
    click.echo(
        f"at {found.timestamp.isoformat()}, "
        f"by weights {found.weights_version}{segment}, as of CONTROL {found.log.control_seq}"
    )
    click.echo(f"rules: {', '.join(one.id for one in found.rules) or 'none'}")
    click.echo(f"in the log: BEHAVIOR {found.log.behavior_seq}, event {found.log.behavior_event}")


@receipts.command()
@click.argument("query_id")
@url_option
@json_option
def verify(query_id: str, url: str, as_json: bool) -> None:
    """Whether the answer QUERY_ID can be had again: its scores from the log, and its hits by searching again where the
    documents are still the same. The exit status is 1 where anything differs."""
    with ServiceClient(url) as client:
        found = client.call("POST", f"/v1/receipts/{query_id}/verify", Verification)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        for check in found.checks:
            click.echo(f"{check.name:10} {check.state:13} {check.detail}")
    if not found.holds:
        sys.exit(1)
