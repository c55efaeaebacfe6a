"""Options and arguments that several commands have."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click

from events import data_folder
from searchsvc.runtime.config import Config
from searchsvc.runtime.config_sources import load_config

Command = Callable[..., Any]

url_option = click.option(
    "--url",
    default="http://127.0.0.1:8000",
    show_default=True,
    envvar="SEARCHSVC_URL",
    help="Address of the running service.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
reason_option = click.option("--reason", default="", help="Reason for the change, stored in the log.")
config_option = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML)."
)
data_dir_option = click.option("--data-dir", help="Data folder of the service.")


accept_clock_option = click.option(
    "--accept-clock", is_flag=True, default=None, help="The clock is right, however long the service was off."
)


def log_options(command: Command) -> Command:
    """Add the options that say where the log is: `data_dir` and `config_file`."""
    return data_dir_option(config_option(command))


def load_log_config(config_file: Path | None, data_dir: str | None, accept_clock: bool | None = None) -> Config:
    """Load the configuration of a command that reads a data folder. Raises Corrupt if that is of another format.

    accept_clock: None for what the other sources of the configuration say
    """
    config = load_config(config_file, {"data_dir": data_dir, "accept_clock": accept_clock}).config
    data_folder.require_format(config.data_path)
    return config


def actor() -> str:
    """Return the name that changes are made under: SEARCHSVC_ACTOR, or the user of this machine."""
    return os.environ.get("SEARCHSVC_ACTOR") or getpass.getuser()


def read_file(file: Path) -> bytes:
    """Return the content of a file, or of standard input for `-`. Raises click.BadParameter."""
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise click.BadParameter(f"{file} cannot be read: {error}", param_hint="FILE") from error
