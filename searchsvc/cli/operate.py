"""`config show` and `doctor`: the configuration, and the checks of this machine and the service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec
import rich_click as click

from events.errors import SearchsvcError
from events.server import read_address
from searchsvc.cli.checks import Status, run_checks
from searchsvc.cli.options import config_option, data_dir_option, json_option, url_option
from searchsvc.cli.output import print_json, print_table, say
from searchsvc.runtime.config import Config
from searchsvc.runtime.config_sources import describe, load_config

COLOURS: Final[dict[Status, str]] = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.group()
def config() -> None:
    """Show the configuration and where each value comes from."""


@config.command("show")
@config_option
@data_dir_option
@click.option("--origin", is_flag=True, help="Show where each value comes from.")
@json_option
def show_config(config_file: Path | None, data_dir: str | None, origin: bool, as_json: bool) -> None:
    """Print every key and its value. Secrets are hidden."""
    settings = describe(load_config(config_file, {"data_dir": data_dir}))
    if as_json:
        print_json({s.key: {"value": s.value, "origin": s.origin} if origin else s.value for s in settings})
        return
    for setting in settings:
        value = msgspec.json.encode(setting.value).decode()
        say(f"{setting.key} = {value}" + (f"  # {setting.origin}" if origin else ""))


@click.command()
@config_option
@data_dir_option
@url_option
@json_option
def doctor(config_file: Path | None, data_dir: str | None, url: str, as_json: bool) -> None:
    """Check this machine and the running service, and show how other systems connect.

    Checks the disk, fsync, the nats-server binary, the model, the clock, the service, its log, and OpenSearch if it is
    configured. The exit status is 1 if a check fails.
    """
    settings = load_config(config_file, {"data_dir": data_dir}).config
    findings = run_checks(settings, url)
    if as_json:
        print_json({"checks": findings, "nats": _connection(settings)})
    else:
        rows = [
            (finding.check, f"[{COLOURS[finding.status]}]{finding.status}[/]", finding.detail) for finding in findings
        ]
        print_table(("check", "status", "detail"), rows)
    if any(finding.status == "fail" for finding in findings):
        sys.exit(1)


def _connection(settings: Config) -> dict[str, object] | None:
    """Return how another system publishes events: address and ingest account; None if no service has started."""
    try:
        address = read_address(settings.data_path)
    except SearchsvcError:
        return None
    return {"url": address.url, "ingest": address.accounts["ingest"], "subject": "ingest.<index>"}
