"""`policy`: who may change an index, when, and how far at once."""

from __future__ import annotations

from pathlib import Path

import msgspec
import rich_click as click

from searchsvc.cli.client import ServiceClient, actor, contents, json_option, url_option
from searchsvc.http.shapes.changes import ChangedAnswer
from searchsvc.http.shapes.policies import PolicyInfo


@click.group()
def policy() -> None:
    """Who may change an index, when, and how far at once."""


@policy.command()
@click.argument("index")
@url_option
def show(index: str, url: str) -> None:
    """The policy of INDEX, as JSON."""
    with ServiceClient(url) as client:
        info = client.call("GET", f"/v1/indexes/{index}/policy", PolicyInfo)
    click.echo(msgspec.json.format(msgspec.json.encode(info), indent=1).decode())


@policy.command("set")
@click.argument("index")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@url_option
@json_option
def set_(index: str, file: Path, url: str, as_json: bool) -> None:
    """Set the policy of INDEX whole from FILE (JSON; - for standard input), as the body of PUT .../policy."""
    with ServiceClient(url, actor=actor()) as client:
        answer = client.call("PUT", f"/v1/indexes/{index}/policy", ChangedAnswer, content=contents(file))
    click.echo(msgspec.json.encode(answer) if as_json else f"the policy of {index} is live (sequence {answer.seq})")
