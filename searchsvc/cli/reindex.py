"""`reindex`: rebuild an index from the log, beside the one that is searched."""

from __future__ import annotations

import sys
import time
from typing import Final

import rich_click as click

from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import json_option, url_option
from searchsvc.cli.output import print_json, progress_bar, say
from searchsvc.indexing.rebuild import RebuildStatus

POLL_S: Final = 0.2


@click.command()
@click.argument("index")
@click.option("--previous", is_flag=True, help="Go back to the index before the last, brought up to date (OpenSearch).")
@click.option("--force", is_flag=True, help="Replace the index even if the canary queries find other hits.")
@click.option("--no-wait", is_flag=True, help="Return at once; GET /v1/indexes/INDEX/reindex shows the progress.")
@url_option
@json_option
def reindex(index: str, previous: bool, force: bool, no_wait: bool, url: str, as_json: bool) -> None:
    """Rebuild INDEX from the log beside the one that is searched, compare both, and swap them in one step.

    Searches and writes go on meanwhile. A change of settings that needs a rebuild starts one by itself. The exit status
    is 1 if the new index is not used; nothing has changed then.
    """
    path = f"/v1/indexes/{index}/reindex"
    with ServiceClient(url) as client, progress_bar() as bar:
        status = client.call("POST", path, RebuildStatus, json={"previous": previous, "force": force})
        task = bar.add_task(status.phase)
        while status.phase not in ("done", "failed") and not no_wait:
            time.sleep(POLL_S)
            status = client.call("GET", path, RebuildStatus)
            total = max(status.n_documents, status.n_read)
            bar.update(task, description=status.phase, completed=status.n_read, total=total)
    if as_json:
        print_json(status)
    else:
        _print_status(status)
    if status.phase == "failed":
        sys.exit(1)


def _print_status(status: RebuildStatus) -> None:
    comparison = status.comparison
    if comparison is not None:
        say(f"documents: {comparison.documents_before} before, {comparison.documents_after} after")
        say(f"{comparison.n_canaries} queries: {comparison.overlap:.1%} of their first hits stayed")
        for canary in comparison.differing:
            before, after = ", ".join(canary.before), ", ".join(canary.after)
            say(f"  {canary.query!r}: {canary.shared:.0%} of {before}; now {after}")
    if status.phase == "failed":
        say(f"{status.index} stays in {status.before}: {status.error}", err=True)
    elif status.phase == "done":
        say(f"{status.index} is searched in {status.after} now, after {status.seconds:.1f} s")
    else:
        say(f"{status.index} is being rebuilt in {status.after or 'a new index'}")
