"""`rules`: what a merchandiser wants of some queries. Synonyms are the first kind."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from events.rules import Action, SynonymAction
from searchsvc.cli.client import ServiceClient, json_option, url_option
from searchsvc.http.shapes import RuleChangedAnswer, RuleInfo, RuleList

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
    table = Table("rule", "what", "in force", "who", "why", title=index)
    for rule in said.rules:
        what = "; ".join(_words(action) for action in rule.actions)
        table.add_row(rule.id, what, "yes" if rule.in_force else "no", rule.actor, rule.reason)
    Console().print(table)


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
    content = sys.stdin.buffer.read() if str(file) == "-" else _read(file)
    _put(index, rule, content, url, as_json)


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
    with ServiceClient(url, actor=getpass.getuser()) as client:
        path = f"/v1/indexes/{index}/rules/{rule}"
        answer = client.call("DELETE", path, RuleChangedAnswer, params={"reason": reason})
    click.echo(msgspec.json.encode(answer) if as_json else f"rule {rule} of {index} is gone (sequence {answer.seq})")


def _put(index: str, rule: str, content: bytes, url: str, as_json: bool) -> None:
    with ServiceClient(url, actor=getpass.getuser()) as client:
        answer = client.call("PUT", f"/v1/indexes/{index}/rules/{rule}", RuleChangedAnswer, content=content)
    click.echo(msgspec.json.encode(answer) if as_json else f"rule {rule} of {index} is live (sequence {answer.seq})")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise click.BadParameter(f"{file} cannot be read: {error}", param_hint="FILE") from error


def _words(action: Action) -> str:
    if action.words:
        return " = ".join(action.words)
    return f"{' / '.join(action.of)} → {' / '.join(action.to)}"
