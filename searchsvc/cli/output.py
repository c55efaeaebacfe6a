"""How commands print: lines, answers, JSON, tables, times, numbers and progress.

Everything printed may hold text from outside. So all of it goes through this module, which lets no control character
through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from events.streams import StreamName
from searchsvc.runtime.printable import printable, printable_json

# Columns of a table in a file or a pipe, so that no row is wrapped.
PIPE_WIDTH: Final = 300


def say(line: str = "", *, err: bool = False) -> None:
    """Print one line. err: on standard error."""
    click.echo(printable(line), err=err)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    click.echo(printable_json(msgspec.json.format(msgspec.json.encode(value), indent=1).decode()))


def print_json_line(value: object) -> None:
    """Print a value as one line of JSON, for output that goes on line by line."""
    click.echo(printable_json(msgspec.json.encode(value).decode()))


def print_answer(answer: object, message: str | Sequence[str], as_json: bool) -> None:
    """Print an answer as JSON, or a message about it, of one line or several."""
    if as_json:
        print_json(answer)
        return
    for line in [message] if isinstance(message, str) else message:
        say(line)


def print_table(columns: Iterable[str], rows: Iterable[Iterable[str]], title: str = "") -> None:
    """Print a table, as wide as the terminal; in a file or a pipe no row is wrapped."""
    table = Table(*columns, title=Text(printable(title)) if title else None)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table)


def format_time(timestamp: datetime) -> str:
    """Return a time in UTC, to the second."""
    return f"{timestamp:%Y-%m-%d %H:%M:%S}"


def format_weight(value: float | None) -> str:
    """Return a weight; a dash if there is none."""
    return "—" if value is None else f"{value:g}"


def describe_weights(weights: Mapping[str, tuple[float | None, float | None]]) -> list[str]:
    """Return one phrase for each changed weight."""
    return [f"{name} {format_weight(old)} → {format_weight(new)}" for name, (old, new) in weights.items()]


def describe_counts(counts: Mapping[StreamName, int]) -> str:
    """Return the number of messages of each stream; "nothing" without any."""
    return ", ".join(f"{stream} {n}" for stream, n in counts.items()) or "nothing"


def progress_bar(*, transient: bool = False) -> Progress:
    """Return a progress bar on standard error, which shows nothing if that is not a terminal.

    transient: remove it at the end.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=transient)
