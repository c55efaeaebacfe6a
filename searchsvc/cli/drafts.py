"""`drafts`: prepare changes, look at their effect, and publish them together."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import msgspec
import rich_click as click

from searchsvc.changes.draft import Draft, DraftStatus
from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import actor, json_option, read_file, reason_option, url_option
from searchsvc.cli.output import (
    format_time,
    print_answer,
    print_json,
    print_table,
    progress_bar,
    say,
)
from searchsvc.cli.what_if_report import print_report
from searchsvc.http.shapes.changes import ChangedAnswer
from searchsvc.http.shapes.drafts import DraftDeletedAnswer, DraftList
from searchsvc.rehearsal.preview import Preview, PreviewHit
from searchsvc.rehearsal.what_if.report import WhatIfStatus

POLL_S: Final = 0.2


@click.group()
def drafts() -> None:
    """Prepare changes, see their effect, and publish them together."""


@drafts.command("list")
@click.argument("index")
@url_option
@json_option
def list_(index: str, url: str, as_json: bool) -> None:
    """List the drafts of INDEX."""
    with ServiceClient(url) as client:
        pages = client.pages(f"/v1/indexes/{index}/drafts", DraftList)
        answer = DraftList(index, [item for page in pages for item in page.drafts])
    if as_json:
        print_json(answer)
        return
    rows = [
        (draft.id, str(len(draft.edits)), draft.actor, format_time(draft.timestamp), draft.reason)
        for draft in answer.drafts
    ]
    print_table(("draft", "edits", "who", "when (UTC)", "why"), rows, index)


@drafts.command("set")
@click.argument("index")
@click.argument("draft")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@url_option
@json_option
def set_(index: str, draft: str, file: Path, url: str, as_json: bool) -> None:
    """Write DRAFT from FILE, replacing what it was.

    FILE is JSON as in the body of PUT /v1/indexes/INDEX/drafts/DRAFT; - reads standard input.
    """
    with ServiceClient(url, actor=actor()) as client:
        saved = client.call("PUT", f"/v1/indexes/{index}/drafts/{draft}", Draft, content=read_file(file))
    print_answer(saved, f"draft {draft} of {index} is saved with {len(saved.edits)} edits; it is not in force", as_json)


@drafts.command()
@click.argument("index")
@click.argument("draft")
@url_option
@json_option
def show(index: str, draft: str, url: str, as_json: bool) -> None:
    """Show what DRAFT would change, and whether it can be published."""
    with ServiceClient(url) as client:
        status = client.call("GET", f"/v1/indexes/{index}/drafts/{draft}", DraftStatus)
    if as_json:
        print_json(status)
        return
    say(f"{draft} of {index} would change: {status.changed.describe()}")
    if status.conflicts:
        say(f"changed in another way since it was saved: {', '.join(status.conflicts)}")
    if status.approvals_missing:
        say(f"approvals by others than its author that are missing: {status.approvals_missing}")
    schedule = status.draft.schedule
    if schedule is not None:
        failure = f"; the last attempt failed: {schedule.failure}" if schedule.failure else ""
        say(f"to be published at {schedule.publish_at.isoformat()} for {schedule.actor}{failure}")
    if status.problem:
        say(f"cannot be published: {status.problem}")


@drafts.command()
@click.argument("index")
@click.argument("draft")
@click.argument("queries", nargs=-1, required=True)
@click.option("--limit", default=10, show_default=True, help="Number of hits to compare.")
@url_option
@json_option
def preview(index: str, draft: str, queries: tuple[str, ...], limit: int, url: str, as_json: bool) -> None:
    """Show the hits of QUERIES with and without DRAFT."""
    with ServiceClient(url) as client:
        body = {"queries": queries, "limit": limit}
        answer = client.call("POST", f"/v1/indexes/{index}/drafts/{draft}/preview", Preview, json=body)
    if as_json:
        print_json(answer)
        return
    for query in answer.queries:
        rows = [(str(hit.rank), hit.id, *_movement(hit)) for hit in query.after]
        title = f"{query.query!r}: {query.overlap:.0%} of the page stays"
        print_table(("rank", "id", "was", "moved"), rows, title)
        if query.removed:
            say(f"no longer on the page: {', '.join(query.removed)}")
    say(f"{answer.n_changed} of {len(answer.queries)} queries would get another page")


@drafts.command("what-if")
@click.argument("index")
@click.argument("draft")
@click.option("--days", default=7.0, show_default=True, help="How far back in the log to look.")
@click.option("--max-queries", default=200, show_default=True, help="Number of the most frequent searches to repeat.")
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
    """Repeat recent searches of shoppers with DRAFT, and estimate the effect on their clicks."""
    path = f"/v1/indexes/{index}/drafts/{draft}/what-if"
    body: dict[str, Any] = {"days": days, "max_queries": max_queries}
    if judgments is not None:
        body["judgments"] = msgspec.Raw(judgments.read_bytes())
    with ServiceClient(url) as client, progress_bar() as bar:
        status = client.call("POST", path, WhatIfStatus, json=body)
        task = bar.add_task(status.phase)
        while status.phase not in ("done", "failed"):
            time.sleep(POLL_S)
            status = client.call("GET", path, WhatIfStatus)
            bar.update(task, description=status.phase, completed=status.n_done, total=status.n_queries)
    if as_json:
        print_json(status)
    elif status.report is not None:
        print_report(status.report)
    if status.phase == "failed":
        raise click.ClickException(status.error)


@drafts.command()
@click.argument("index")
@click.argument("draft")
@click.option("--reason", required=True, help="Reason for the change, stored in the log.")
@click.option("--force", is_flag=True, help="Also overwrite what others changed since the draft was saved.")
@url_option
@json_option
def publish(index: str, draft: str, reason: str, force: bool, url: str, as_json: bool) -> None:
    """Put DRAFT in force, all edits at once."""
    with ServiceClient(url, actor=actor()) as client:
        body = {"reason": reason, "force": force}
        answer = client.call("POST", f"/v1/indexes/{index}/drafts/{draft}/publish", ChangedAnswer, json=body)
    message = f"draft {draft} of {index} is live (sequence {answer.seq}): {answer.changed.describe()}"
    print_answer(answer, message, as_json)


@drafts.command()
@click.argument("index")
@click.argument("draft")
@reason_option
@click.option("--expected-version", type=int, help="Refuse if the draft is at another version.")
@url_option
@json_option
def approve(index: str, draft: str, reason: str, expected_version: int | None, url: str, as_json: bool) -> None:
    """Approve DRAFT, which another person wrote."""
    with ServiceClient(url, actor=actor()) as client:
        body = {"reason": reason, "expected_version": expected_version}
        answer = client.call("POST", f"/v1/indexes/{index}/drafts/{draft}/approve", Draft, json=body)
    approvers = ", ".join(approval.actor for approval in answer.approvals)
    print_answer(answer, f"draft {draft} of {index} is approved by {approvers}", as_json)


@drafts.command()
@click.argument("index")
@click.argument("draft")
@click.option("--at", "publish_at", help="Time with its zone, such as 2026-11-27T00:00:00+01:00.")
@reason_option
@click.option("--cancel", is_flag=True, help="Cancel the schedule.")
@url_option
@json_option
def schedule(
    index: str, draft: str, publish_at: str | None, reason: str, cancel: bool, url: str, as_json: bool
) -> None:
    """Publish DRAFT at a later time, or cancel its schedule."""
    if cancel == (publish_at is not None):
        raise click.UsageError("use one of --at and --cancel")
    path = f"/v1/indexes/{index}/drafts/{draft}/schedule"
    with ServiceClient(url, actor=actor()) as client:
        if cancel:
            answer = client.call("DELETE", path, Draft)
        else:
            answer = client.call("PUT", path, Draft, json={"publish_at": publish_at, "reason": reason})
    outcome = f"will be published at {publish_at}" if publish_at is not None else "is not scheduled any more"
    print_answer(answer, f"draft {draft} of {index} {outcome}", as_json)


@drafts.command()
@click.argument("index")
@click.argument("draft")
@url_option
@json_option
def delete(index: str, draft: str, url: str, as_json: bool) -> None:
    """Delete DRAFT."""
    with ServiceClient(url, actor=actor()) as client:
        answer = client.call("DELETE", f"/v1/indexes/{index}/drafts/{draft}", DraftDeletedAnswer)
    print_answer(answer, f"draft {draft} of {index} is deleted", as_json)


def _movement(hit: PreviewHit) -> tuple[str, str]:
    """Return a hit's rank before and how far it moved."""
    if hit.previous_rank is None or hit.rank_change is None:
        return "", "new"
    arrow = "▲" if hit.rank_change > 0 else "▼" if hit.rank_change < 0 else ""
    return str(hit.previous_rank), f"{arrow}{abs(hit.rank_change) or ''}"
