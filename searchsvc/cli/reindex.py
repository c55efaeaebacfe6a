"""`reindex`: an index built anew from the log, beside the one that is searched."""

from __future__ import annotations

import sys
import time
from typing import Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from searchsvc.cli.client import ServiceClient, json_option, url_option
from searchsvc.indexing.rebuild import RebuildStatus

POLL_S: Final = 0.2


@click.command()
@click.argument("index")
@click.option("--previous", is_flag=True, help="Go back to the index before the last, brought up to date (OpenSearch).")
@click.option("--force", is_flag=True, help="Take it whatever the canary queries find.")
@click.option("--no-wait", is_flag=True, help="Return at once; `GET /v1/indexes/INDEX/reindex` tells how far it is.")
@url_option
@json_option
def reindex(index: str, previous: bool, force: bool, no_wait: bool, url: str, as_json: bool) -> None:
    """Build INDEX anew from the log beside the one that is searched, compare both, and swap them in one step.

    Searches and writes go on meanwhile. What a change of the settings needs happens by itself. Ends with 1 where the
    new index is not taken: then nothing has changed.
    """
    path = f"/v1/indexes/{index}/reindex"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with ServiceClient(url) as client, Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        status = client.call("POST", path, RebuildStatus, json={"previous": previous, "force": force})
        task = bar.add_task(status.phase)
        while status.phase not in ("done", "failed") and not no_wait:
            time.sleep(POLL_S)
            status = client.call("GET", path, RebuildStatus)
            bar.update(
                task, description=status.phase, completed=status.n_read, total=max(status.n_documents, status.n_read)
            )
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(status), indent=1).decode())
    else:
        _print(status)
    if status.phase == "failed":
        sys.exit(1)


def _print(status: RebuildStatus) -> None:
    found = status.comparison
    if found is not None:
        click.echo(f"documents: {found.documents_before} before, {found.documents_after} after")
        click.echo(f"{found.n_canaries} queries: {found.overlap:.1%} of what they found first is found first still")
        for one in found.differing:
            click.echo(f"  {one.query!r}: {one.shared:.0%} of {', '.join(one.before)}; now {', '.join(one.after)}")
    if status.phase == "failed":
        click.echo(f"{status.index} stays in {status.before}: {status.error}", err=True)
    elif status.phase == "done":
        click.echo(f"{status.index} is searched in {status.after} now, after {status.seconds:.1f} s")
    else:
        click.echo(f"{status.index} is being built anew in {status.after or 'a new index'}")
