"""`events dead` and `events replay`: events that could not be used, and sending them again."""

from __future__ import annotations

import sys

import rich_click as click

from searchsvc.behavior.dead_letters import Replayed
from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import json_option, url_option
from searchsvc.cli.output import format_time, print_json, say
from searchsvc.http.shapes.events import DeadList

MAX_PAYLOAD_CHARS = 200

index_option = click.option("--index", default="", help="Only events of this index.")
key_option = click.option("--key", default="", help="Only events of this ranking (its query_id).")


@click.command()
@index_option
@key_option
@url_option
@json_option
def dead(index: str, key: str, url: str, as_json: bool) -> None:
    """List the events that could not be used, oldest first, each with its reason."""
    with ServiceClient(url) as client:
        answer = client.call("GET", "/v1/dead", DeadList, params={"index": index, "key": key})
    if as_json:
        print_json(answer)
        return
    for letter in answer.dead:
        refused = letter.refused
        say(f"{format_time(letter.refused_at)} {refused.id} {refused.subject}: {refused.reason}")
        say(f"    {refused.payload[:MAX_PAYLOAD_CHARS]}")
    say(f"{len(answer.dead)} events" if answer.dead else "no events were refused")


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Replay all events, or all of --index and --key.")
@index_option
@key_option
@url_option
@json_option
def replay(ids: tuple[str, ...], everything: bool, index: str, key: str, url: str, as_json: bool) -> None:
    """Check refused events again and record the good ones, in the order in which they were refused.

    Name the events by ID, or use --all, --index or --key. The exit status is 3 if some are refused again.
    """
    if bool(ids) == (everything or bool(index or key)):
        raise click.UsageError("name the events by ID, or use --all, --index or --key")
    with ServiceClient(url) as client:
        body = {"ids": list(ids), "index": index, "key": key}
        replayed = client.call("POST", "/v1/dead/replay", Replayed, json=body)
    if as_json:
        print_json(replayed)
    else:
        for event in replayed.still_refused:
            say(f"{event.id}: {event.reason}")
        say(f"{replayed.n_replayed} sent again, {len(replayed.still_refused)} refused again")
    if replayed.still_refused:
        sys.exit(3)
