"""The command line. Commands are found through the entry-point group `searchsvc.commands`.

Exit status: 0 success; 1 error, with a message; 2 wrong usage; 3 success, but some input was refused.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points

import rich_click as click

from events.errors import SearchsvcError
from searchsvc import __version__
from searchsvc.runtime.printable import printable

# Before numpy is imported: a second thread for matrix products would spin on the core that searches need.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class _Commands(click.RichGroup):
    """Loads the module of a command when it is called or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(point.name for point in entry_points(group="searchsvc.commands"))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        for point in entry_points(group="searchsvc.commands", name=name):
            command: click.Command = point.load()
            return command
        return None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SearchsvcError as error:
            raise click.ClickException(printable(str(error))) from error
        except click.ClickException as error:
            if isinstance(error, click.UsageError):
                raise
            raise click.ClickException(printable(error.message)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "SEARCHSVC"})
@click.version_option(__version__, prog_name="searchsvc")
def main() -> None:
    """Hybrid keyword and vector search that is tuned while it runs. Every ranking change is an event in one log."""
