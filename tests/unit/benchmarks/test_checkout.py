"""Checkouts that a service is started from."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.checkout import Checkout
from events.errors import InvalidInput

PYPROJECT = """
[project.entry-points."searchsvc.commands"]
serve = "searchsvc.commands.serving:serve"
"""


def test_a_checkout_says_where_its_serve_command_is(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    checkout = Checkout.in_folder(tmp_path)
    assert (checkout.module, checkout.attribute) == ("searchsvc.commands.serving", "serve")
    assert checkout.serve_command()[-3:] == [str(tmp_path.resolve()), "searchsvc.commands.serving", "serve"]


def test_this_checkout_is_found() -> None:
    assert Checkout.of_this_process().folder == Path(__file__).parents[3].resolve()


@pytest.mark.parametrize("content", [None, "not TOML", "[project]\nname = 'other'\n"])
def test_other_folders_are_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(InvalidInput, match="is not a checkout of searchsvc"):
        Checkout.in_folder(tmp_path)
