"""`events repair`: rebuild a damaged log from everything that is left of it."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from searchsvc.app.repair import repair_log
from searchsvc.cli.options import accept_clock_option, json_option, load_log_config, log_options
from searchsvc.cli.output import describe_counts, print_json, say


@click.command()
@log_options
@accept_clock_option
@json_option
def repair(data_dir: str | None, config_file: Path | None, accept_clock: bool | None, as_json: bool) -> None:
    """Rebuild the log of a stopped service after a loss was reported.

    CONTROL comes from its copy and the store, everything else from what the store can still read, and documents that
    are missing there from the saved indexes. What is damaged is moved aside, not deleted; what is lost for good is
    listed.
    Messages get new sequences, so indexes are rebuilt at the next start (vectors are not encoded again).
    """
    config = load_log_config(config_file, data_dir, accept_clock)
    if config.nats.url:
        raise click.ClickException("nats.url is set: the store belongs to that server, and is repaired there")
    report = repair_log(config)
    if as_json:
        print_json(report)
        return
    say(f"{describe_counts(report.imported)} put into a new log")
    if report.n_documents:
        say(f"{report.n_documents} documents that CATALOG had lost were put back from saved indexes")
    for lost in report.lost:
        say(f"lost: {lost}")
    say(
        f"the damaged store is {report.damaged_store}, and what was read from it {report.archive}; "
        "remove them when you no longer need them"
    )
