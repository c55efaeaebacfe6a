"""`drafts`: changes that are put together and looked at before anybody ranks by them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from searchsvc.changes.draft import Draft, DraftStatus
from searchsvc.cli.client import ServiceClient, actor, contents, json_option, url_option
from searchsvc.http.shapes.changes import ChangedAnswer
from searchsvc.http.shapes.drafts import DraftDeletedAnswer, DraftList
from searchsvc.rehearsal.preview import Preview, PreviewHit
from searchsvc.rehearsal.what_if.report import WhatIfReport, WhatIfStatus
from tuning.clicks.offpolicy import Estimate

POLL_S: Final = 0.2


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
        table.add_row(one.id, str(len(one.edits)), one.actor, f"{one.timestamp:%Y-%m-%d %H:%M:%S}", one.reason)
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
    click.echo(f"{draft} of {index} would change: {status.changed.describe()}")
    if status.conflicts:
        click.echo(f"changed otherwise since it was saved: {', '.join(status.conflicts)}")
    if status.approvals_missing:
        click.echo(f"approvals by others than its author that are missing: {status.approvals_missing}")
    planned = status.draft.schedule
    if planned is not None:
        failed = f"; it could not be: {planned.failure}" if planned.failure else ""
        click.echo(f"to be published at {planned.publish_at.isoformat()} for {planned.actor}{failed}")
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
        if one.removed:
            click.echo(f"gone: {', '.join(one.removed)}")
    click.echo(f"{found.n_changed} of {len(found.queries)} queries would be answered otherwise")


@drafts.command("what-if")
@click.argument("index")
@click.argument("draft")
@click.option("--days", default=7.0, show_default=True, help="How far back in the log to look.")
@click.option("--max-queries", default=200, show_default=True, help="So many of the most frequent searches are made.")
@click.option(
    "--judgments",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Grades, as JSON: {query: {document id: grade}}.",
)
@url_option
@json_option
def what_if(
    index: str, draft: str, days: float, max_queries: int, judgments: Path | None, url: str, as_json: bool
) -> None:
    """What DRAFT would do to what shoppers searched for lately, and to their clicks."""
    path = f"/v1/indexes/{index}/drafts/{draft}/what-if"
    body: dict[str, Any] = {"days": days, "max_queries": max_queries}
    if judgments is not None:
        body["judgments"] = msgspec.Raw(judgments.read_bytes())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with ServiceClient(url) as client, Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        status = client.call("POST", path, WhatIfStatus, json=body)
        task = bar.add_task(status.phase)
        while status.phase not in ("done", "failed"):
            time.sleep(POLL_S)
            status = client.call("GET", path, WhatIfStatus)
            bar.update(task, description=status.phase, completed=status.n_done, total=status.n_queries)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(status), indent=1).decode())
    elif status.report is not None:
        _print_report(status.report)
    if status.phase == "failed":
        raise click.ClickException(status.error)


def _print_report(report: WhatIfReport) -> None:
    if report.since is not None and report.until is not None:
        span = f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} (UTC)"
        sealed = f", {report.n_sealed} of them sealed" if report.n_sealed else ""
        click.echo(f"{report.n_rankings} searches from {span}{sealed}")
        click.echo(f"made again: the {report.n_queries} most frequent, which are {report.coverage:.1%} of them")
    else:
        click.echo("the log has no searches of this index in that time")
    click.echo(f"of the first ten hits {report.overlap:.1%} stay; the first three change in {report.top_changed:.1%}")
    for title, moved in (("wins", report.winners), ("loses", report.losers)):
        if moved:
            table = Table("document", "looks a search", "searches", title=title)
            for one in moved:
                table.add_row(one.id, f"{one.exposure_change:+.4f}", str(one.n_searches))
            Console().print(table)
    if report.most_changed:
        table = Table("query", "times", "stays", "first before", "first after", title="changes most")
        for query in report.most_changed:
            table.add_row(
                query.query, str(query.n), f"{query.overlap:.0%}", " ".join(query.before[:3]), " ".join(query.after[:3])
            )
        Console().print(table)
    for kind, found in report.expected.items():
        if isinstance(found, Estimate):
            interval = f"95 % from {found.low:+.4f} to {found.high:+.4f}"
            click.echo(f"{kind} a search: {found.now:.4f} now, {found.change:+.4f} ({interval})")
        else:
            click.echo(f"{kind} a search: cannot be said: {found.reason}")
    if report.ndcg is not None:
        judged = report.ndcg
        click.echo(f"nDCG@10 of {judged.n} judged queries: {judged.before:.4f} before, {judged.after:.4f} after")


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
        click.echo(f"draft {draft} of {index} is live (sequence {answer.seq}): {answer.changed.describe()}")


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
            found = client.call("PUT", path, Draft, json={"publish_at": at, "reason": reason})
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
    if hit.previous_rank is None or hit.rank_change is None:
        return "", "new"
    arrow = "▲" if hit.rank_change > 0 else "▼" if hit.rank_change < 0 else ""
    return str(hit.previous_rank), f"{arrow}{abs(hit.rank_change) or ''}"
