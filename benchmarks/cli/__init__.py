"""`searchsvc bench`: the commands that measure, one module a topic."""

from __future__ import annotations

import rich_click as click

from benchmarks.cli import learning, log, quality, speed


@click.group()
def bench() -> None:
    """Measure quality and speed. Each command prints its figures, and whether they reach their targets."""


for command in (*speed.COMMANDS, *quality.COMMANDS, *learning.COMMANDS, *log.COMMANDS):
    bench.add_command(command)
