"""`tuning`: how an index learns from shoppers, and which behavior it ignores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import rich_click as click

from events.errors import InvalidInput
from events.point_in_time import parse_point_in_time
from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import actor, json_option, reason_option, url_option
from searchsvc.cli.output import print_answer, print_json, say
from searchsvc.http.shapes.changes import ChangedAnswer
from searchsvc.http.shapes.learning import LearningInfo

DEFAULT_PERIOD: Final = timedelta(days=90)


@click.group()
def tuning() -> None:
    """Show and set how an index learns from shoppers, and which behavior it ignores."""


@tuning.command()
@click.argument("index")
@url_option
@json_option
def show(index: str, url: str, as_json: bool) -> None:
    """Show how INDEX learns, its progress, and the weights on trial."""
    with ServiceClient(url) as client:
        info = client.call("GET", f"/v1/indexes/{index}/learning", LearningInfo)
    if as_json:
        print_json(info)
    else:
        for line in describe_learning(info):
            say(line)


@tuning.command("set")
@click.argument("index")
@click.option(
    "--mode",
    type=click.Choice(("off", "suggest", "automatic")),
    help="off: do not learn; suggest: write drafts that people publish; automatic: publish after a trial.",
)
@click.option("--max-boost", type=float, help="Largest factor of behavior on a document's score; 1 for no effect.")
@click.option("--exploration", type=float, help="Share of searches in which neighbours may swap places, at most.")
@click.option(
    "--judgments",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Queries that new weights must not answer worse. JSON: {query: {document id: grade from 0}}.",
)
@reason_option
@url_option
@json_option
def set_(
    index: str,
    mode: str | None,
    max_boost: float | None,
    exploration: float | None,
    judgments: Path | None,
    reason: str,
    url: str,
    as_json: bool,
) -> None:
    """Set how INDEX learns. Options that are not given keep their values. A frozen learner is restarted."""
    options: dict[str, object] = {"mode": mode, "max_boost": max_boost, "exploration": exploration, "reason": reason}
    body = {name: value for name, value in options.items() if value is not None}
    if judgments is not None:
        body["judgments"] = msgspec.Raw(judgments.read_bytes())
    with ServiceClient(url, actor=actor()) as client:
        answer = client.call("PUT", f"/v1/indexes/{index}/learning", ChangedAnswer, json=body)
    print_answer(answer, f"{index}: learning settings are live (sequence {answer.seq})", as_json)


@tuning.command()
@click.argument("index")
@click.option("--from", "since", help="Ignore behavior from this time, with its zone.  [default: 90 days ago]")
@click.option("--until", help="Ignore behavior until this time, with its zone.  [default: now]")
@click.option("--user-token", default="", help="Ignore only what this user did.")
@reason_option
@url_option
@json_option
def unlearn(
    index: str, since: str | None, until: str | None, user_token: str, reason: str, url: str, as_json: bool
) -> None:
    """Make INDEX ignore a user, or all users in a period. It relearns from the log without that behavior."""
    if not since and not until and not user_token:
        raise click.UsageError("use --from, --until or --user-token; without them all behavior would be ignored")
    now = datetime.now(UTC)
    body: dict[str, Any] = {
        "from": _parse_time(since, "--from", now - DEFAULT_PERIOD),
        "until": _parse_time(until, "--until", now),
        "user_token": user_token,
        "reason": reason,
    }
    with ServiceClient(url, actor=actor()) as client:
        answer = client.call("POST", f"/v1/indexes/{index}/learning/forget", ChangedAnswer, json=body)
    print_answer(answer, f"{index}: relearns without it (sequence {answer.seq})", as_json)


@tuning.command()
@click.argument("index")
@reason_option
@url_option
@json_option
def stop(index: str, reason: str, url: str, as_json: bool) -> None:
    """Stop the trial of INDEX. The weights in force stay."""
    with ServiceClient(url, actor=actor()) as client:
        path = f"/v1/indexes/{index}/learning/stop"
        answer = client.call("POST", path, ChangedAnswer, json={"reason": reason})
    print_answer(answer, f"{index}: the trial is stopped (sequence {answer.seq})", as_json)


def describe_learning(info: LearningInfo) -> list[str]:
    """Return the lines that `tuning show` prints."""
    learning, learner, trial = info.learning, info.learner, info.trial
    lines = [f"mode       {learning.mode}{f', frozen: {learning.frozen}' if learning.frozen else ''}"]
    if learner is not None:
        lines.append(f"stage      {learner.stage}; learnt from {learner.n_pages:,} pages")
        factors = f"by factors from {1 / learning.max_boost:.2g} to {learning.max_boost:g}"
        lines.append(f"documents  {learner.n_documents:,} seen, {learner.n_boosted:,} of them boosted {factors}")
        if learning.mode == "automatic":
            lines.append(
                f"explores   {learner.exploration_share:.2%} of searches swap neighbours, {learning.exploration:.2%} "
                f"at most; uncertainty about such neighbours {learner.uncertainty:.2f} of 1"
            )
    if trial is not None:
        lines.append(f"trial      {trial.id}, {trial.stage}; {trial.solo_share:.0%} of searches are not interleaved")
        lines.append(f"           {trial.decision}")
        if learner is not None:
            lines.append(f"evidence   {learner.evidence:.3g} that it is better; alarm {learner.alarm:.3g}")
    for name, searches in (learner.moved_by if learner is not None else {}).items():
        lines.append(f"           {name} was moved most by {', '.join(searches)}")
    if learning.judgments:
        lines.append(f"judged     {len(learning.judgments):,} queries that new weights must not answer worse")
    if learner is not None and learner.message:
        lines.append(f"last       {learner.message}")
    for ignored in learning.ignored:
        user = f"user {ignored.user}" if ignored.user else "all"
        lines.append(f"ignored    {ignored.since.isoformat()} to {ignored.until.isoformat()}, {user} {ignored.reason}")
    return lines


def _parse_time(text: str | None, option: str, default: datetime) -> str:
    """Return a time of an option, or the default, as RFC 3339. Raises click.BadParameter."""
    if not text:
        return default.isoformat()
    try:
        timestamp = parse_point_in_time(text, option)
    except InvalidInput as error:
        raise click.BadParameter(error.message, param_hint=option) from error
    if isinstance(timestamp, int):
        raise click.BadParameter("a time is needed, not a sequence", param_hint=option)
    return timestamp.isoformat()
