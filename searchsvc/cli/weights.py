"""`weights`: show the weights of an index, set them, and trace who changed them."""

from __future__ import annotations

import json

import rich_click as click

from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import actor, json_option, reason_option, url_option
from searchsvc.cli.output import (
    describe_weights,
    format_time,
    format_weight,
    print_answer,
    print_json,
    print_table,
)
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
    """Show the weights in force."""
    with ServiceClient(url) as client:
        info = client.call("GET", f"/v1/indexes/{index}/weights", WeightsInfo)
    if as_json:
        print_json(info)
        return
    rows = [(name, format_weight(value)) for name, value in info.weights.items()]
    print_table(("feature", "weight"), rows, f"{index}, version {info.version}")


@weights.command("set")
@click.argument("index")
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@reason_option
@click.option("--expected-version", type=int, help="Refuse if the weights are at another version.")
@url_option
@json_option
def set_(
    index: str, assignments: tuple[str, ...], reason: str, expected_version: int | None, url: str, as_json: bool
) -> None:
    """Set weights. The others stay.

    Example: searchsvc weights set shop bm25.title=4 cosine=1 --reason "titles matter more"
    """
    body = {"weights": parse_assignments(assignments), "reason": reason, "expected_version": expected_version}
    with ServiceClient(url, actor=actor()) as client:
        # Unlike msgspec, json writes nan and inf, so that the service is the one to refuse them.
        content = json.dumps(body).encode()
        answer = client.call("PUT", f"/v1/indexes/{index}/weights", WeightsChangedAnswer, content=content)
    print_answer(answer, f"{index} is at version {answer.version} (sequence {answer.seq}), live now", as_json)


@weights.command()
@click.argument("index")
@url_option
@json_option
def history(index: str, url: str, as_json: bool) -> None:
    """List every change, newest first: who, when, why, and each weight before and after."""
    with ServiceClient(url) as client:
        pages = client.pages(f"/v1/indexes/{index}/weights/history", WeightsHistory)
        answer = WeightsHistory(index, [item for page in pages for item in page.changes])
    if as_json:
        print_json(answer)
        return
    rows = [
        (
            str(change.version),
            str(change.seq),
            format_time(change.timestamp),
            change.actor,
            change.reason,
            ", ".join(describe_weights(change.changed)),
        )
        for change in answer.changes
    ]
    print_table(("version", "seq", "when (UTC)", "who", "why", "what"), rows, index)


@weights.command()
@click.argument("index")
@click.option("--from", "since", required=True, help="First moment: a sequence, or a time with its zone.")
@click.option("--to", default="", help="Second moment.  [default: now]")
@url_option
@json_option
def diff(index: str, since: str, to: str, url: str, as_json: bool) -> None:
    """Show which weights and rules differ between two moments."""
    with ServiceClient(url) as client:
        params = {"from": since, "to": to}
        answer = client.call("GET", f"/v1/indexes/{index}/diff", DifferenceInfo, params=params)
    moments = f"from sequence {answer.from_seq} to {answer.to_seq}"
    print_answer(answer, f"{index} {moments}: {answer.changed.describe()}", as_json)


@weights.command()
@click.argument("index")
@click.option("--to-version", type=int, help="Restore the weights of this version.")
@click.option("--to-time", help="Restore weights and rules as they were at this time, with its zone.")
@click.option("--to-seq", type=int, help="Restore weights and rules as of this sequence.")
@reason_option
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
    """Restore an earlier state. The rollback is a change of its own: the history keeps what happened since."""
    body = {"to_version": to_version, "to_time": to_time, "to_seq": to_seq, "reason": reason}
    with ServiceClient(url, actor=actor()) as client:
        answer = client.call("POST", f"/v1/indexes/{index}/rollback", ChangedAnswer, json=body)
    message = f"{index} is as it was (sequence {answer.seq}), live now: {answer.changed.describe()}"
    print_answer(answer, message, as_json)


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, float]:
    """Return the weights of NAME=VALUE words. Raises click.BadParameter."""
    values: dict[str, float] = {}
    for assignment in assignments:
        name, _, value = assignment.rpartition("=")
        try:
            values[name] = float(value)
        except ValueError:
            raise click.BadParameter(f"{assignment!r} is not NAME=NUMBER", param_hint="NAME=VALUE") from None
    return values
