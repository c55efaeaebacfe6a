"""`policy`: who may change an index, when, and how far at once."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import actor, json_option, read_file, url_option
from searchsvc.cli.output import print_answer, print_json
from searchsvc.http.shapes.changes import ChangedAnswer
from searchsvc.http.shapes.policies import PolicyInfo


@click.group()
def policy() -> None:
    """Set who may change an index, when, and how far at once."""


@policy.command()
@click.argument("index")
@url_option
@json_option
def show(index: str, url: str, as_json: bool) -> None:
    """Show the policy of INDEX. Always prints JSON."""
    with ServiceClient(url) as client:
        print_json(client.call("GET", f"/v1/indexes/{index}/policy", PolicyInfo))


@policy.command("set")
@click.argument("index")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@url_option
@json_option
def set_(index: str, file: Path, url: str, as_json: bool) -> None:
    """Replace the policy of INDEX by the one in FILE.

    FILE is JSON as in the body of PUT /v1/indexes/INDEX/policy; - reads standard input.
    """
    with ServiceClient(url, actor=actor()) as client:
        answer = client.call("PUT", f"/v1/indexes/{index}/policy", ChangedAnswer, content=read_file(file))
    print_answer(answer, f"the policy of {index} is live (sequence {answer.seq})", as_json)
