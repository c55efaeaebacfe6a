"""`drafts`: changes that are put together and looked at before anybody ranks by them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from searchsvc.cli.audit import said
from searchsvc.cli.client import ServiceClient, actor, contents, json_option, url_option
from searchsvc.drafts import Draft, DraftStatus
from searchsvc.http.shapes import ChangedAnswer, DraftDeletedAnswer, DraftList
from searchsvc.preview import Preview, PreviewHit


@click.group()
def drafts() -> None:
    """Write changes down, see what they would do, publish them together."""


@drafts.command("list")
@click.argument("index")
@url_option
@json_option
def list_(index: str, url: str, as_json: bool) -> None:
    """All drafts of INDEX."""
    with ServiceClient(url) as client:
        found = client.call("GET", f"/v1/indexes/{index}/drafts", DraftList)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    table = Table("draft", "edits", "who", "when (UTC)", "why", title=index)
    for one in found.drafts:
        table.add_row(one.id, str(len(one.edits)), one.actor, f"{one.at:%Y-%m-%d %H:%M:%S}", one.reason)
    Console().print(table)


@drafts.command("set")
@click.argument("index")
@click.argument("draft")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@url_option
@json_option
def set_(index: str, draft: str, file: Path, url: str, as_json: bool) -> None:
    """Write DRAFT whole from FILE (JSON; - for standard input), as the body of PUT .../drafts/DRAFT."""
    with ServiceClient(url, actor=actor()) as client:
        saved = client.call("PUT", f"/v1/indexes/{index}/drafts/{draft}", Draft, content=contents(file))
    n = len(saved.edits)
    click.echo(
        msgspec.json.encode(saved) if as_json else f"draft {draft} of {index} is saved, {n} edits; nobody ranks by it"
    )


@drafts.command()
@click.argument("index")
@click.argument("draft")
@url_option
@json_option
def show(index: str, draft: str, url: str, as_json: bool) -> None:
    """What DRAFT would change, and whether it can be published."""
    with ServiceClient(url) as client:
        status = client.call("GET", f"/v1/indexes/{index}/drafts/{draft}", DraftStatus)
    if as_json:
        click.echo(msgspec.json.encode(status))
        return
    click.echo(f"{draft} of {index} would change: {said(status.changed)}")
    if status.conflicts:
        click.echo(f"changed otherwise since it was saved: {', '.join(status.conflicts)}")
    if status.approvals_missing:
        click.echo(f"approvals by others than its author that are missing: {status.approvals_missing}")
    planned = status.draft.schedule
    if planned is not None:
        failed = f"; it could not be: {planned.failed}" if planned.failed else ""
        click.echo(f"to be published at {planned.at.isoformat()} for {planned.actor}{failed}")
    if status.problem:
        click.echo(f"cannot be published: {status.problem}")


@drafts.command()
@click.argument("index")
@click.argument("draft")
@click.argument("queries", nargs=-1, required=True)
@click.option("--limit", default=10, show_default=True, help="How many hits to look at.")
@url_option
@json_option
def preview(index: str, draft: str, queries: tuple[str, ...], limit: int, url: str, as_json: bool) -> None:
    """What DRAFT would do to QUERIES: ranks before and after."""
    with ServiceClient(url) as client:
        body = {"queries": queries, "limit": limit}
        found = client.call("POST", f"/v1/indexes/{index}/drafts/{draft}/preview", Preview, json=body)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for one in found.queries:
        table = Table("rank", "id", "was", "moved", title=f"{one.query!r}: {one.overlap:.0%} of the page stays")
        for hit in one.after:
            table.add_row(str(hit.rank), hit.id, *_moved(hit))
        Console().print(table)
        if one.gone:
            click.echo(f"gone: {', '.join(one.gone)}")
    click.echo(f"{found.n_changed} of {len(found.queries)} queries would be answered otherwise")


@drafts.command()
@click.argument("index")
@click.argument("draft")
@click.option("--reason", required=True, help="Why; it stands in the log.")
@click.option("--force", is_flag=True, help="Also over what was changed otherwise since it was saved.")
@url_option
@json_option
def publish(index: str, draft: str, reason: str, force: bool, url: str, as_json: bool) -> None:
    """Make DRAFT count, all of it at once."""
    with ServiceClient(url, actor=actor()) as client:
        body = {"reason": reason, "force": force}
        answer = client.call("POST", f"/v1/indexes/{index}/drafts/{draft}/publish", ChangedAnswer, json=body)
    if as_json:
        click.echo(msgspec.json.encode(answer))
    else:
        click.echo(f"draft {draft} of {index} is live (sequence {answer.seq}): {said(answer.changed)}")


@drafts.command()
@click.argument("index")
@click.argument("draft")
@click.option("--reason", default="", help="Why.")
@click.option("--expected-version", type=int, help="Refuse where the draft is another by now.")
@url_option
@json_option
def approve(index: str, draft: str, reason: str, expected_version: int | None, url: str, as_json: bool) -> None:
    """Want DRAFT, which somebody else wrote, published."""
    with ServiceClient(url, actor=actor()) as client:
        body = {"reason": reason, "expected_version": expected_version}
        found = client.call("POST", f"/v1/indexes/{index}/drafts/{draft}/approve", Draft, json=body)
    approved = ", ".join(one.actor for one in found.approvals)
    click.echo(msgspec.json.encode(found) if as_json else f"draft {draft} of {index} is approved by {approved}")


@drafts.command()
@click.argument("index")
@click.argument("draft")
@click.option("--at", help="When, with its time zone: 2026-11-27T00:00:00+01:00.")
@click.option("--reason", default="", help="Why; it stands in the log.")
@click.option("--cancel", is_flag=True, help="At no time.")
@url_option
@json_option
def schedule(index: str, draft: str, at: str | None, reason: str, cancel: bool, url: str, as_json: bool) -> None:
    """Have DRAFT published at a time, or at none any more."""
    if cancel == (at is not None):
        raise click.UsageError("one of --at and --cancel")
    path = f"/v1/indexes/{index}/drafts/{draft}/schedule"
    with ServiceClient(url, actor=actor()) as client:
        if cancel:
            found = client.call("DELETE", path, Draft)
        else:
            found = client.call("PUT", path, Draft, json={"at": at, "reason": reason})
    when = f"will be published at {at}" if at is not None else "is published at no time"
    click.echo(msgspec.json.encode(found) if as_json else f"draft {draft} of {index} {when}")


@drafts.command()
@click.argument("index")
@click.argument("draft")
@url_option
def delete(index: str, draft: str, url: str) -> None:
    """Give DRAFT up."""
    with ServiceClient(url, actor=actor()) as client:
        client.call("DELETE", f"/v1/indexes/{index}/drafts/{draft}", DraftDeletedAnswer)
    click.echo(f"draft {draft} of {index} is gone")


def _moved(hit: PreviewHit) -> tuple[str, str]:
    if hit.was is None or hit.moved is None:
        return "", "new"
    arrow = "▲" if hit.moved > 0 else "▼" if hit.moved < 0 else ""
    return str(hit.was), f"{arrow}{abs(hit.moved) or ''}"
