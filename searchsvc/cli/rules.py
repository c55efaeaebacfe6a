"""`rules`: what merchandisers set for some searches."""

from __future__ import annotations

from pathlib import Path

import msgspec
import rich_click as click

from events.rules import SynonymAction
from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import actor, json_option, read_file, reason_option, url_option
from searchsvc.cli.output import print_answer, print_json, print_table, say
from searchsvc.cli.rule_text import describe_action, describe_conditions, describe_cost, describe_effect
from searchsvc.http.shapes.rules import RuleChangedAnswer, RuleInfo, RuleList
from searchsvc.search.answer import Hit, SearchAnswer


@click.group()
def rules() -> None:
    """Show, write and delete the rules of an index."""


@rules.command("list")
@click.argument("index")
@url_option
@json_option
def list_(index: str, url: str, as_json: bool) -> None:
    """List all rules, by name."""
    with ServiceClient(url) as client:
        pages = client.pages(f"/v1/indexes/{index}/rules", RuleList)
        answer = RuleList(index, [item for page in pages for item in page.rules])
    if as_json:
        print_json(answer)
        return
    rows = [
        (
            rule.id,
            describe_conditions(rule.conditions),
            "; ".join(map(describe_action, rule.actions)),
            "yes" if rule.in_force else "no",
            rule.actor,
            rule.reason,
        )
        for rule in answer.rules
    ]
    print_table(("rule", "when", "what", "in force", "who", "why"), rows, index)


@rules.command()
@click.argument("index")
@click.argument("rule")
@url_option
@json_option
def show(index: str, rule: str, url: str, as_json: bool) -> None:
    """Show RULE. Always prints JSON."""
    with ServiceClient(url) as client:
        print_json(client.call("GET", f"/v1/indexes/{index}/rules/{rule}", RuleInfo))


@rules.command("set")
@click.argument("index")
@click.argument("rule")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@url_option
@json_option
def set_(index: str, rule: str, file: Path, url: str, as_json: bool) -> None:
    """Write RULE from FILE, replacing what it was.

    FILE is JSON as in the body of PUT /v1/indexes/INDEX/rules/RULE; - reads standard input.
    """
    _put(index, rule, read_file(file), url, as_json)


@rules.command()
@click.argument("index")
@click.argument("query", default="")
@click.option("--context", multiple=True, help="Tag of the search; may be repeated.")
@click.option("--scope", default="", help="Scope of the search: a store or a category page.")
@click.option("--filters", default="", help="Filters of the search.")
@click.option("--user-segment", default="", help="Segment of the shopper.")
@click.option("--experiment", default="", help="Experiment arm of the search.")
@click.option("--limit", default=5, show_default=True, help="Number of hits to show.")
@url_option
@json_option
def test(
    index: str,
    query: str,
    context: tuple[str, ...],
    scope: str,
    filters: str,
    user_segment: str,
    experiment: str,
    limit: int,
    url: str,
    as_json: bool,
) -> None:
    """Search for QUERY and show which rules fired, and what each of them did."""
    body = {
        "query": query,
        "context": context,
        "scope": scope,
        "filters": filters,
        "user_segment": user_segment,
        "experiment": experiment,
        "limit": limit,
        "explain": True,
    }
    with ServiceClient(url, actor=actor()) as client:
        answer = client.call("POST", f"/v1/indexes/{index}/search", SearchAnswer, json=body)
    if as_json:
        print_json(answer)
        return
    if answer.rule_effects:
        rows = [(effect.rule, effect.action, describe_effect(effect), effect.note) for effect in answer.rule_effects]
        print_table(("rule", "what", "did", "note"), rows, f"{index}: {query!r}")
    else:
        say(f"no rule of {index} fires for {query!r}")
    print_table(("rank", "id", "score", "factor", "pinned by"), map(_hit_row, answer.hits), f"{answer.total} hits")


@rules.command()
@click.argument("index")
@click.argument("rule")
@click.argument("words", nargs=-1, required=True)
@click.option(
    "--to", "to", multiple=True, help="One way only: a query for WORDS also finds these, but not the reverse."
)
@reason_option
@url_option
@json_option
def synonym(
    index: str, rule: str, words: tuple[str, ...], to: tuple[str, ...], reason: str, url: str, as_json: bool
) -> None:
    """Make WORDS synonyms.

    Example: searchsvc rules synonym shop laptops laptop notebook
    """
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
    """Delete RULE. Its history stays in the log."""
    with ServiceClient(url, actor=actor()) as client:
        path = f"/v1/indexes/{index}/rules/{rule}"
        answer = client.call("DELETE", path, RuleChangedAnswer, params={"reason": reason})
    print_answer(answer, f"rule {rule} of {index} is deleted (sequence {answer.seq})", as_json)


def _put(index: str, rule: str, content: bytes, url: str, as_json: bool) -> None:
    with ServiceClient(url, actor=actor()) as client:
        answer = client.call("PUT", f"/v1/indexes/{index}/rules/{rule}", RuleChangedAnswer, content=content)
    conflicts = [
        f"conflict with rule {conflict.rule}: {conflict.subject}; {conflict.winner} gets it"
        for conflict in answer.conflicts
    ]
    costs = list(map(describe_cost, [answer.cost] if answer.cost is not None else []))
    print_answer(answer, [f"rule {rule} of {index} is live (sequence {answer.seq})", *costs, *conflicts], as_json)


def _hit_row(hit: Hit) -> tuple[str, ...]:
    explanation = hit.explanation
    factor, pinned_by = (
        (f"{explanation.rule_factor:g}", explanation.pinned_by or "") if explanation is not None else ("", "")
    )
    return str(hit.rank), hit.id, f"{hit.score:.3f}", factor, pinned_by
