"""`weights`: look at them, move them, see who moved them."""

from __future__ import annotations

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from searchsvc.cli.client import ServiceClient, actor, json_option, url_option
from searchsvc.http.shapes.changes import ChangedAnswer, DifferenceInfo
from searchsvc.http.shapes.weights import WeightsChangedAnswer, WeightsHistory, WeightsInfo


@click.group()
def weights() -> None:
    """Show, set and trace the weights of an index."""


@weights.command()
@click.argument("index")
@url_option
@json_option
def show(index: str, url: str, as_json: bool) -> None:
    """The weights in force."""
    with ServiceClient(url) as client:
        info = client.call("GET", f"/v1/indexes/{index}/weights", WeightsInfo)
    if as_json:
        click.echo(msgspec.json.encode(info))
        return
    table = Table("feature", "weight", title=f"{index}, version {info.version}")
    for name, value in info.weights.items():
        table.add_row(name, f"{value:g}")
    Console().print(table)


@weights.command("set")
@click.argument("index")
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--reason", default="", help="Why; it stands in the history.")
@click.option("--expected-version", type=int, help="Refuse where another change came first.")
@url_option
@json_option
def set_(
    index: str, assignments: tuple[str, ...], reason: str, expected_version: int | None, url: str, as_json: bool
) -> None:
    """Set weights, for instance: searchsvc weights set shop bm25.title=4 cosine=1 --reason "titles matter"."""
    given: dict[str, float] = {}
    for assignment in assignments:
        name, _, value = assignment.rpartition("=")
        try:
            given[name] = float(value)
        except ValueError:
            raise click.BadParameter(f"{assignment!r} is not NAME=NUMBER", param_hint="NAME=VALUE") from None
    body = {"weights": given, "reason": reason, "expected_version": expected_version}
    with ServiceClient(url, actor=actor()) as client:
        # The shell can say nan and inf, JSON cannot: the service should be the one to refuse them.
        answer = client.call("PUT", f"/v1/indexes/{index}/weights", WeightsChangedAnswer, content=_json_text(body))
    if as_json:
        click.echo(msgspec.json.encode(answer))
    else:
        click.echo(f"{index} is at version {answer.version} (sequence {answer.seq}), live now")


@weights.command()
@click.argument("index")
@url_option
@json_option
def history(index: str, url: str, as_json: bool) -> None:
    """Every change, newest first: who, when, why, from what to what."""
    with ServiceClient(url) as client:
        said = client.call("GET", f"/v1/indexes/{index}/weights/history", WeightsHistory)
    if as_json:
        click.echo(msgspec.json.encode(said))
        return
    table = Table("version", "seq", "when (UTC)", "who", "why", "what", title=index)
    for change in said.changes:
        what = ", ".join(f"{name} {_number(old)} → {_number(new)}" for name, (old, new) in change.changed.items())
        table.add_row(
            str(change.version),
            str(change.seq),
            f"{change.timestamp:%Y-%m-%d %H:%M:%S}",
            change.actor,
            change.reason,
            what,
        )
    Console().print(table)


@weights.command()
@click.argument("index")
@click.option("--from", "since", required=True, help="A sequence, or a time with its zone.")
@click.option("--to", default="", help="The same; now where not given.")
@url_option
@json_option
def diff(index: str, since: str, to: str, url: str, as_json: bool) -> None:
    """What of weights and rules differs between two moments."""
    with ServiceClient(url) as client:
        params = {"from": since, "to": to}
        answer = client.call("GET", f"/v1/indexes/{index}/diff", DifferenceInfo, params=params)
    if as_json:
        click.echo(msgspec.json.encode(answer))
    else:
        click.echo(f"{index} from sequence {answer.from_seq} to {answer.to_seq}: {answer.changed.describe()}")


@weights.command()
@click.argument("index")
@click.option("--to-version", type=int, help="Set the weights of this version again.")
@click.option("--to-time", help="Set weights and rules as they were at this time, with its zone.")
@click.option("--to-seq", type=int, help="Set weights and rules as of this sequence.")
@click.option("--reason", default="", help="Why; it stands in the history.")
@url_option
@json_option
def rollback(
    index: str,
    to_version: int | None,
    to_time: str | None,
    to_seq: int | None,
    reason: str,
    url: str,
    as_json: bool,
) -> None:
    """Go back, as a change of its own: what happened since stays in the history."""
    body = {"to_version": to_version, "to_time": to_time, "to_seq": to_seq, "reason": reason}
    with ServiceClient(url, actor=actor()) as client:
        answer = client.call("POST", f"/v1/indexes/{index}/rollback", ChangedAnswer, json=body)
    if as_json:
        click.echo(msgspec.json.encode(answer))
    else:
        click.echo(f"{index} is as it was (sequence {answer.seq}), live now: {answer.changed.describe()}")


def _json_text(body: object) -> bytes:
    import json

    return json.dumps(body).encode()


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:g}"
