"""`events dead` and `events replay`: what could not be used, and sending it on its way again."""

from __future__ import annotations

import msgspec
import rich_click as click

from searchsvc.behavior.dead_letters import Replayed
from searchsvc.cli.client import ServiceClient, json_option, url_option
from searchsvc.http.shapes.events import DeadList

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
        listed = client.call("GET", "/v1/dead", DeadList, params={"index": index, "key": key})
    if as_json:
        click.echo(msgspec.json.encode(listed))
        return
    for letter in listed.dead:
        refused = letter.refused
        click.echo(f"{letter.refused_at:%Y-%m-%d %H:%M:%S} {refused.id} {refused.subject}: {refused.reason}")
        click.echo(f"    {refused.payload[:200]}")
    click.echo(f"{len(listed.dead)} events" if listed.dead else "no event had to be refused")


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All events, or all of --index and --key.")
@index_option
@key_option
@url_option
@json_option
def replay(ids: tuple[str, ...], everything: bool, index: str, key: str, url: str, as_json: bool) -> None:
    """Check refused events again and record those that are good, in the order in which they were refused.

    Ends with 3 where some are refused again.
    """
    if bool(ids) == (everything or bool(index or key)):
        raise click.UsageError("name the events, or say --all, --index or --key")
    with ServiceClient(url) as client:
        asked = {"ids": list(ids), "index": index, "key": key}
        replayed = client.call("POST", "/v1/dead/replay", Replayed, json=asked)
    if as_json:
        click.echo(msgspec.json.encode(replayed))
    else:
        for still in replayed.still_refused:
            click.echo(f"{still.id}: {still.reason}")
        click.echo(f"{replayed.n_replayed} sent again, {len(replayed.still_refused)} refused again")
    if replayed.still_refused:
        raise SystemExit(3)
