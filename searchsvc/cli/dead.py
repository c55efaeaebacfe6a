"""`events dead` and `events replay`: events that could not be used, and sending them again."""

from __future__ import annotations

import sys

import rich_click as click

from searchsvc.behavior.dead_letters import DeadLetter, Replayed, StillRefused
from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import json_option, url_option
from searchsvc.cli.output import format_time, print_json, say
from searchsvc.http.shapes.events import DeadList
from searchsvc.runtime.pages import MAX_PAGE_ITEMS

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
    n_events, n_dropped, letters = 0, 0, list[DeadLetter]()
    with ServiceClient(url) as client:
        params = {"index": index, "key": key, "limit": str(MAX_PAGE_ITEMS)}
        for page in client.pages("/v1/dead", DeadList, params=params):
            n_events, n_dropped = n_events + len(page.dead), page.n_dropped
            if as_json:
                letters += page.dead
                continue
            for letter in page.dead:
                refused = letter.refused
                say(f"{format_time(letter.refused_at)} {refused.id} {refused.subject}: {refused.reason}")
                say(f"    {refused.payload[:MAX_PAYLOAD_CHARS]}")
    if as_json:
        print_json(DeadList(letters, n_dropped=n_dropped))
        return
    say(f"{n_events} events" if n_events else "no events were refused")
    if n_dropped:
        say(f"{n_dropped} more were removed, the oldest first, because all of them took too much")


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
        replayed = _replay_all(client, {"ids": list(ids), "index": index, "key": key})
    if as_json:
        print_json(replayed)
    else:
        for event in replayed.still_refused:
            say(f"{event.id}: {event.reason}")
        say(f"{replayed.n_replayed} sent again, {len(replayed.still_refused)} refused again")
    if replayed.still_refused:
        sys.exit(3)


def _replay_all(client: ServiceClient, selection: dict[str, object]) -> Replayed:
    """Replay what is selected, page by page."""
    n_replayed, still_refused, after = 0, list[StillRefused](), 0
    while True:
        page = client.call("POST", "/v1/dead/replay", Replayed, json={**selection, "after": after})
        n_replayed, still_refused = n_replayed + page.n_replayed, still_refused + page.still_refused
        if page.next_after is None:
            return Replayed(n_replayed, still_refused)
        after = page.next_after
