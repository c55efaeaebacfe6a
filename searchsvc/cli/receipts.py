"""`receipts`: the full account of an answer, and whether it can be reproduced."""

from __future__ import annotations

import sys

import rich_click as click

from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import json_option, url_option
from searchsvc.cli.output import print_json, print_table, say
from searchsvc.rehearsal.receipts.account import Receipt, ReceiptHit
from searchsvc.rehearsal.receipts.verification import Verification

N_CONTRIBUTIONS = 3


@click.group()
def receipts() -> None:
    """Show why an answer was what it was."""


@receipts.command()
@click.argument("query_id")
@url_option
@json_option
def show(query_id: str, url: str, as_json: bool) -> None:
    """Show the hits of answer QUERY_ID, their scores and the reasons, and the weights and rules in force then."""
    with ServiceClient(url) as client:
        receipt = client.call("GET", f"/v1/receipts/{query_id}", Receipt)
    if as_json:
        print_json(receipt)
        return
    query = "a sealed query" if receipt.sealed else repr(receipt.query)
    columns = ("rank", "id", "score", "words", "vector", "largest contributions", "")
    print_table(columns, map(_row, receipt.hits), f"{query} in {receipt.index}")
    segment = f" of segment {receipt.weights_segment}" if receipt.weights_segment else ""
    say(
        f"at {receipt.timestamp.isoformat()}, "
        f"by weights {receipt.weights_version}{segment}, as of CONTROL {receipt.log.control_seq}"
    )
    say(f"rules: {', '.join(rule.id for rule in receipt.rules) or 'none'}")
    say(f"in the log: BEHAVIOR {receipt.log.behavior_seq}, event {receipt.log.behavior_event}")


@receipts.command()
@click.argument("query_id")
@url_option
@json_option
def verify(query_id: str, url: str, as_json: bool) -> None:
    """Check whether answer QUERY_ID can be reproduced.

    Its scores are computed again from the log, and its hits by searching again if the documents are still the same.
    The exit status is 1 if anything differs.
    """
    with ServiceClient(url) as client:
        verification = client.call("POST", f"/v1/receipts/{query_id}/verify", Verification)
    if as_json:
        print_json(verification)
    else:
        for check in verification.checks:
            say(f"{check.name:10} {check.state:13} {check.detail}")
    if not verification.holds:
        sys.exit(1)


def _row(hit: ReceiptHit) -> tuple[str, ...]:
    shares = sorted(hit.features.items(), key=lambda item: -abs(item[1].contribution))[:N_CONTRIBUTIONS]
    contributions = ", ".join(f"{name} {share.contribution:+.3g}" for name, share in shares if share.contribution)
    vector = "" if hit.vector is None else f"{hit.vector:.3f}"
    rule = "pinned" if hit.pinned else f"× {hit.rule_factor:g}" if hit.rule_factor != 1.0 else ""
    return str(hit.rank), hit.id, f"{hit.score:.4f}", f"{hit.keyword:.3f}", vector, contributions, rule
