"""`events verify`: check that the log is complete and that a replay gives what is served."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

import rich_click as click

from events.errors import Unavailable
from searchsvc.app.log_clients import reading_log
from searchsvc.app.verification import LogVerification
from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import json_option, load_log_config, log_options, url_option
from searchsvc.cli.output import print_json, say
from searchsvc.state.state_info import StateInfo


@click.command()
@log_options
@url_option
@json_option
def verify(data_dir: str | None, config_file: Path | None, url: str, as_json: bool) -> None:
    """Check the log of a running service: it is complete, its copy agrees, and a replay gives what is served.

    The exit status is 1 if there is any doubt.
    """
    config = load_log_config(config_file, data_dir)
    open_log, fetch_state = partial(reading_log, config), partial(_fetch_state, url)
    findings = asyncio.run(LogVerification(config.data_path, url, open_log, fetch_state).run())
    holds = all(finding.holds for finding in findings)
    if as_json:
        print_json({"holds": holds, "findings": findings})
    else:
        for finding in findings:
            say(f"{'holds' if finding.holds else 'DOUBT':6} {finding.check}: {finding.detail}")
        say("the log is intact" if holds else "the log cannot be trusted")
    if not holds:
        sys.exit(1)


def _fetch_state(url: str) -> StateInfo:
    """Return what the service serves. Raises Unavailable."""
    try:
        with ServiceClient(url) as client:
            return client.call("GET", "/v1/state", StateInfo)
    except click.ClickException as error:
        raise Unavailable(error.message) from error
