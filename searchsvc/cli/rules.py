"""`rules`: what a merchandiser wants of some searches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from events.rules import (
    Action,
    BoostAction,
    BuryAction,
    Conditions,
    FilterAction,
    HideAction,
    PinAction,
    RedirectAction,
    RemoveWordsAction,
    ReplaceWordsAction,
    SynonymAction,
    UserDataAction,
)
from searchsvc.cli.client import ServiceClient, actor, contents, json_option, url_option
from searchsvc.http.shapes.rules import RuleChangedAnswer, RuleInfo, RuleList
from searchsvc.rules.directives import Effect
from searchsvc.search.answer import SearchAnswer

NO_TERMINAL: Final = 300

reason_option = click.option("--reason", default="", help="Why; it stands in the log.")


@click.group()
def rules() -> None:
    """Show, write and delete the rules of an index."""


@rules.command("list")
@click.argument("index")
@url_option
@json_option
def list_(index: str, url: str, as_json: bool) -> None:
    """All rules, by name."""
    with ServiceClient(url) as client:
        said = client.call("GET", f"/v1/indexes/{index}/rules", RuleList)
    if as_json:
        click.echo(msgspec.json.encode(said))
        return
    table = Table("rule", "when", "what", "in force", "who", "why", title=index)
    for rule in said.rules:
        what = "; ".join(map(_what, rule.actions))
        table.add_row(rule.id, _when(rule.conditions), what, "yes" if rule.in_force else "no", rule.actor, rule.reason)
    _print(table)


@rules.command()
@click.argument("index")
@click.argument("rule")
@url_option
def show(index: str, rule: str, url: str) -> None:
    """One rule, as JSON."""
    with ServiceClient(url) as client:
        info = client.call("GET", f"/v1/indexes/{index}/rules/{rule}", RuleInfo)
    click.echo(msgspec.json.format(msgspec.json.encode(info), indent=1).decode())


@rules.command("set")
@click.argument("index")
@click.argument("rule")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@url_option
@json_option
def set_(index: str, rule: str, file: Path, url: str, as_json: bool) -> None:
    """Write RULE whole from FILE (JSON; - for standard input), as the body of PUT .../rules/RULE."""
    _put(index, rule, contents(file), url, as_json)


@rules.command()
@click.argument("index")
@click.argument("query", default="")
@click.option("--context", multiple=True, help="A tag of the search; may be given again.")
@click.option("--filters", default="", help="What the search is filtered by.")
@click.option("--user-segment", default="", help="Of the shopper.")
@click.option("--experiment", default="", help="The arm that the search is in.")
@click.option("--limit", default=5, show_default=True, help="How many hits to show.")
@url_option
@json_option
def test(
    index: str,
    query: str,
    context: tuple[str, ...],
    filters: str,
    user_segment: str,
    experiment: str,
    limit: int,
    url: str,
    as_json: bool,
) -> None:
    """Search for QUERY and show which rules fired, and what each of them did."""
    asked = {
        "query": query,
        "context": context,
        "filters": filters,
        "user_segment": user_segment,
        "experiment": experiment,
        "limit": limit,
        "explain": True,
    }
    with ServiceClient(url, actor=actor()) as client:
        content = msgspec.json.encode(asked)
        said = client.call("POST", f"/v1/indexes/{index}/search", SearchAnswer, content=content)
    if as_json:
        click.echo(msgspec.json.encode(said))
        return
    table = Table("rule", "what", "did", "note", title=f"{index}: {query!r}")
    for effect in said.rule_effects:
        table.add_row(effect.rule, effect.action, _did(effect), effect.note)
    _print(table if said.rule_effects else f"no rule of {index} fires for {query!r}")
    hits = Table("rank", "id", "score", "factor", "pinned by", title=f"{said.total} hits")
    for hit in said.hits:
        why = hit.explanation
        factor, pinned_by = (f"{why.rule_factor:g}", why.pinned_by or "") if why is not None else ("", "")
        hits.add_row(str(hit.rank), hit.id, f"{hit.score:.3f}", factor, pinned_by)
    _print(hits)


@rules.command()
@click.argument("index")
@click.argument("rule")
@click.argument("words", nargs=-1, required=True)
@click.option("--to", "to", multiple=True, help="One way only: WORDS find these too, and these do not find WORDS.")
@reason_option
@url_option
@json_option
def synonym(
    index: str, rule: str, words: tuple[str, ...], to: tuple[str, ...], reason: str, url: str, as_json: bool
) -> None:
    """Make WORDS mean the same, for instance: searchsvc rules synonym shop laptops laptop notebook."""
    action = SynonymAction(of=words, to=to) if to else SynonymAction(words=words)
    body = msgspec.json.encode({"actions": [action], "reason": reason})
    _put(index, rule, body, url, as_json)


@rules.command()
@click.argument("index")
@click.argument("rule")
@reason_option
@url_option
@json_option
def delete(index: str, rule: str, reason: str, url: str, as_json: bool) -> None:
    """Delete a rule; its history stays in the log."""
    with ServiceClient(url, actor=actor()) as client:
        path = f"/v1/indexes/{index}/rules/{rule}"
        answer = client.call("DELETE", path, RuleChangedAnswer, params={"reason": reason})
    click.echo(msgspec.json.encode(answer) if as_json else f"rule {rule} of {index} is gone (sequence {answer.seq})")


def _put(index: str, rule: str, content: bytes, url: str, as_json: bool) -> None:
    with ServiceClient(url, actor=actor()) as client:
        answer = client.call("PUT", f"/v1/indexes/{index}/rules/{rule}", RuleChangedAnswer, content=content)
    if as_json:
        click.echo(msgspec.json.encode(answer))
        return
    click.echo(f"rule {rule} of {index} is live (sequence {answer.seq})")
    for one in answer.conflicts:
        click.echo(f"conflict with rule {one.rule}: {one.subject}; {one.winner} gets it")


def _print(shown: Table | str) -> None:
    """On a terminal as wide as it is; in a file or a pipe nothing is broken into lines."""
    console = Console()
    console.width = console.width if console.is_terminal else NO_TERMINAL
    console.print(shown)


def _when(given: Conditions) -> str:
    parts = [f"{one.type} {one.text!r}" for one in given.patterns]
    said = [" or ".join(parts)] if parts else []
    said += [f"context {tag}" for tag in given.context]
    said += [f"filters {given.filters}"] if given.filters else []
    said += [f"{name} {value}" for name in ("user_segment", "experiment") if (value := getattr(given, name))]
    return "; ".join(said) or "always"


def _what(action: Action) -> str:
    match action:
        case SynonymAction(words=words, of=of, to=to):
            return " = ".join(words) if words else f"{' / '.join(of)} → {' / '.join(to)}"
        case PinAction(document_id=document_id, rank=rank):
            return f"pin {document_id} at {rank}"
        case HideAction(document_id=document_id, filter=given):
            return f"hide {document_id or given}"
        case BoostAction() | BuryAction():
            kind = "boost" if isinstance(action, BoostAction) else "bury"
            which = f" of {action.filter}" if action.filter else ""
            by = f" by {action.signal}" if action.signal else ""
            return f"{kind} x {action.factor:g}{which}{by}"
        case FilterAction(filter=given):
            return f"filter {given}"
        case ReplaceWordsAction(of=of_words, to=to_words):
            return f"{of_words or 'the query'} → {to_words}"
        case RemoveWordsAction(words=words):
            return f"without {', '.join(words)}"
        case RedirectAction(url=url):
            return f"redirect to {url}"
        case UserDataAction():
            return "user data"


def _did(effect: Effect) -> str:
    parts = [
        effect.document_id,
        f"rank {effect.rank}" if effect.rank is not None else "",
        f"x {effect.factor:g}" if effect.factor is not None else "",
        f"{effect.n_candidates} candidates" if effect.n_candidates is not None else "",
        f"searched for {effect.words!r}" if effect.words is not None else "",
    ]
    return " ".join(part for part in parts if part)
