"""`audit`: every change of weights, rules and settings; take one back; keep them in a file that vouches for itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from events.chain import GENESIS, link
from searchsvc.changes.audit import AuditEntry
from searchsvc.cli.client import ServiceClient, actor, json_option, url_option
from searchsvc.http.shapes.changes import AuditList, ChangedAnswer

PAGE: Final = 500


@click.group()
def audit() -> None:
    """Who changed what, when, from where and why; take any change back."""


@audit.command("list")
@click.option("--index", default="", help="Only changes of this index.")
@click.option("--after", default=0, help="Only changes past this sequence.")
@click.option("--limit", default=100, show_default=True, help="At most so many.")
@url_option
@json_option
def list_(index: str, after: int, limit: int, url: str, as_json: bool) -> None:
    """Every change, oldest first."""
    with ServiceClient(url) as client:
        params = {"index": index, "after": str(after), "limit": str(limit)}
        said = client.call("GET", "/v1/audit", AuditList, params=params)
    if as_json:
        click.echo(msgspec.json.encode(said))
        return
    table = Table("seq", "when (UTC)", "index", "who", "from", "why", "what", title=f"up to {said.last_seq}")
    for one in said.entries:
        when = f"{one.timestamp:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(one.seq), when, one.index, one.actor, one.source, one.reason, one.describe())
    Console().print(table)


@audit.command()
@click.argument("seq", type=int)
@url_option
def show(seq: int, url: str) -> None:
    """One change, as JSON: from what to what."""
    with ServiceClient(url) as client:
        entry = client.call("GET", f"/v1/changes/{seq}", AuditEntry)
    click.echo(msgspec.json.format(msgspec.json.encode(entry), indent=1).decode())


@audit.command()
@click.argument("seq", type=int)
@click.option("--reason", default="", help="Why; it stands in the log.")
@click.option("--force", is_flag=True, help="Also what was changed again since.")
@url_option
@json_option
def revert(seq: int, reason: str, force: bool, url: str, as_json: bool) -> None:
    """Take change SEQ back, whole, whenever it was."""
    with ServiceClient(url, actor=actor()) as client:
        body = {"reason": reason, "force": force}
        answer = client.call("POST", f"/v1/changes/{seq}/revert", ChangedAnswer, json=body)
    if as_json:
        click.echo(msgspec.json.encode(answer))
    else:
        click.echo(f"change {seq} is taken back (sequence {answer.seq}): {answer.changed.describe()}")


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@url_option
def export(file: Path, url: str) -> None:
    """Write every change to FILE, a line of JSON each; `audit verify FILE` tells whether it is whole."""
    n = 0
    with ServiceClient(url) as client, file.open("wb") as out:
        for entry in _all(client):
            out.write(msgspec.json.encode(entry) + b"\n")
            n += 1
    click.echo(f"{n} changes written to {file}")


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def verify(file: Path) -> None:
    """Whether FILE, which `audit export` wrote, holds every change up to its last, each as it was."""
    seq, chain = 0, GENESIS
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            entry = msgspec.json.decode(line, type=AuditEntry)
        except msgspec.DecodeError as error:
            raise click.ClickException(f"{file} line {number} is no change: {error}") from error
        seq, chain = seq + 1, link(chain, bytes(entry.event))
        if entry.seq != seq:
            raise click.ClickException(f"{file} line {number} has change {entry.seq} where {seq} belongs")
        if entry.chain != chain:
            raise click.ClickException(f"{file} line {number}: change {seq}, or one before it, is not as it was")
    click.echo(f"{seq} changes, none missing and none altered; the chain ends in {chain}")


def _all(client: ServiceClient) -> Iterator[AuditEntry]:
    after = 0
    while True:
        page = client.call("GET", "/v1/audit", AuditList, params={"after": str(after), "limit": str(PAGE)})
        yield from page.entries
        if not page.entries:
            return
        after = page.entries[-1].seq
