"""A source tree of the project, this one or another, to start a service from.

Commands are found through the metadata of the installed package, which names the modules of one checkout. Another may
have them elsewhere, so its own pyproject.toml says where its `serve` is.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import report
from events.errors import InvalidInput

GROUP: Final = "searchsvc.commands"
# Importing searchsvc.cli first sets what has to be set before numpy is imported, as the installed command does.
RUN_SERVE: Final = """
import sys
from importlib import import_module
from pathlib import Path
import searchsvc.cli
folder, module, attribute = sys.argv[1:4]
if not Path(searchsvc.cli.__file__).resolve().is_relative_to(Path(folder).resolve()):
    sys.exit(f"searchsvc was imported from {searchsvc.cli.__file__}, not from {folder}")
serve = getattr(import_module(module), attribute)
serve(sys.argv[5:], prog_name="searchsvc serve", auto_envvar_prefix="SEARCHSVC_SERVE")
"""


class Checkout(msgspec.Struct, frozen=True):
    """A source tree.

    module, attribute: where its `serve` command is defined
    commit: see `report.commit_of`
    """

    folder: Path
    module: str
    attribute: str
    commit: str

    @staticmethod
    def in_folder(folder: Path) -> Checkout:
        """Read where `serve` is from the entry points in the checkout's pyproject.toml.

        Raises InvalidInput if the folder is not a checkout.
        """
        folder = folder.resolve()
        limit = f'a checkout whose pyproject.toml has [project.entry-points."{GROUP}"] with serve = "module:attribute"'
        try:
            project = tomllib.loads((folder / "pyproject.toml").read_text())
            module, _, attribute = project["project"]["entry-points"][GROUP]["serve"].partition(":")
        except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
            message = f"{folder} is not a checkout of searchsvc ({error}); required: {limit}"
            raise InvalidInput(message, field="checkout", value=str(folder), limit=limit) from error
        return Checkout(folder, module, attribute, report.commit_of(folder))

    @staticmethod
    def of_this_process() -> Checkout:
        """Return the checkout that these benchmarks are part of. Raises InvalidInput as `in_folder` does."""
        return Checkout.in_folder(Path(__file__).parent.parent)

    def serve_command(self) -> list[str]:
        """Return the command that runs the checkout's `searchsvc`, without the word `serve` and its options.

        Runs with PYTHONPATH set to the checkout; refuses to serve code from anywhere else.
        """
        return [sys.executable, "-c", RUN_SERVE, str(self.folder), self.module, self.attribute]
