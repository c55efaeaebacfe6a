"""`tuning`: how an index learns from shoppers, and what it is to forget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from events.errors import InvalidInput
from events.point_in_time import parse_point_in_time
from searchsvc.cli.client import ServiceClient, actor, json_option, url_option
from searchsvc.http.shapes.changes import ChangedAnswer
from searchsvc.http.shapes.learning import LearningInfo

reason_option = click.option("--reason", default="", help="Why: it stands in the log.")


@click.group()
def tuning() -> None:
    """How an index learns from shoppers, and what it is to forget."""


@tuning.command()
@click.argument("index")
@url_option
@json_option
def show(index: str, url: str, as_json: bool) -> None:
    """How INDEX learns, how far it is, and what it compares just now."""
    with ServiceClient(url) as client:
        info = client.call("GET", f"/v1/indexes/{index}/learning", LearningInfo)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(info), indent=1).decode())
        return
    learning, learner, trial = info.learning, info.learner, info.trial
    click.echo(f"mode       {learning.mode}{f', frozen: {learning.frozen}' if learning.frozen else ''}")
    if learner is not None:
        click.echo(f"stage      {learner.stage}; learnt from {learner.n_pages:,} pages")
        boost = f"whose scores times {1 / learning.max_boost:.2g} to {learning.max_boost:g}"
        click.echo(
            f"documents  {learner.n_documents:,} seen, {learner.n_boosted:,} of them count by what is done, {boost}"
        )
        if learning.mode == "automatic":
            left = (
                f"{learner.exploration_share:.2%} of searches leave neighbours to chance, "
                f"{learning.exploration:.2%} at most"
            )
            click.echo(f"explores   {left}; doubt about such neighbours {learner.uncertainty:.2f} of 1")
    if trial is not None:
        click.echo(f"trial      {trial.id}, {trial.stage}; {trial.solo_share:.0%} of searches see one version alone")
        click.echo(f"           {trial.decision}")
        if learner is not None:
            click.echo(f"evidence   {learner.evidence:.3g} that it is better; alarm {learner.alarm:.3g}")
    for name, searches in (learner.moved_by if learner is not None else {}).items():
        click.echo(f"           {name} was moved most by {', '.join(searches)}")
    if learning.judgments:
        click.echo(f"judged     {len(learning.judgments):,} queries that no version may answer worse")
    if learner is not None and learner.message:
        click.echo(f"last       {learner.message}")
    for one in learning.ignored:
        who = f"user {one.user}" if one.user else "all"
        click.echo(f"ignored    {one.since.isoformat()} to {one.until.isoformat()}, {who} {one.reason}")


@tuning.command("set")
@click.argument("index")
@click.option("--mode", type=click.Choice(("off", "suggest", "automatic")))
@click.option("--max-boost", type=float, help="How far what shoppers do may move a document's score; 1: not at all.")
@click.option("--exploration", type=float, help="The share of searches in which neighbours may change places, at most.")
@click.option(
    "--judgments",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Queries that no version may answer worse: JSON, by query and document the grade, from 0.",
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
    """Set how INDEX learns: not at all, by drafts that people publish, or by itself. One that is frozen goes on."""
    given: dict[str, object] = {"mode": mode, "max_boost": max_boost, "exploration": exploration, "reason": reason}
    body = {name: value for name, value in given.items() if value is not None}
    if judgments is not None:
        body["judgments"] = msgspec.Raw(judgments.read_bytes())
    _changed(url, "PUT", f"/v1/indexes/{index}/learning", body, as_json, "is live")


@tuning.command()
@click.argument("index")
@click.option("--from", "since", help="A time with its zone.  [default: 90 days ago]")
@click.option("--until", help="A time with its zone.  [default: now]")
@click.option("--user-token", default="", help="Only what this user did.")
@reason_option
@url_option
@json_option
def unlearn(
    index: str, since: str | None, until: str | None, user_token: str, reason: str, url: str, as_json: bool
) -> None:
    """Have INDEX learn nothing from a user, or from a time; what it learnt is learnt anew from the log."""
    if not since and not until and not user_token:
        raise click.UsageError("give --from, --until or --user-token: else all would be forgotten")
    now = datetime.now(UTC)
    body: dict[str, Any] = {
        "from": _time(since, "--from", now - timedelta(days=90)),
        "until": _time(until, "--until", now),
        "user_token": user_token,
        "reason": reason,
    }
    _changed(url, "POST", f"/v1/indexes/{index}/learning/forget", body, as_json, "learns anew without it")


@tuning.command()
@click.argument("index")
@reason_option
@url_option
@json_option
def stop(index: str, reason: str, url: str, as_json: bool) -> None:
    """End what INDEX compares; the weights in force stay."""
    _changed(url, "POST", f"/v1/indexes/{index}/learning/stop", {"reason": reason}, as_json, "compares nothing now")


def _changed(url: str, method: str, path: str, body: dict[str, Any], as_json: bool, said: str) -> None:
    with ServiceClient(url, actor=actor()) as client:
        answer = client.call(method, path, ChangedAnswer, content=msgspec.json.encode(body))
    index = path.split("/")[3]
    click.echo(msgspec.json.encode(answer) if as_json else f"{index}: {said} (sequence {answer.seq})")


def _time(given: str | None, option: str, default: datetime) -> str:
    if not given:
        return default.isoformat()
    try:
        at = parse_point_in_time(given, option)
    except InvalidInput as error:
        raise click.BadParameter(error.message, param_hint=option) from error
    if isinstance(at, int):
        raise click.BadParameter("a time, not a sequence", param_hint=option)
    return at.isoformat()
