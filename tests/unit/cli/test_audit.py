"""An export of changes proves itself complete and unaltered."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import rich_click as click

from events.types import IndexConfigured
from searchsvc.changes.audit import Audit
from searchsvc.cli.audit import check_export
from tests.factories import NOW, SETTINGS, history_of


@pytest.fixture
def lines(tmp_path: Path) -> list[bytes]:
    """Return an export of three changes."""
    events = [
        IndexConfigured(id=str(seq), timestamp=NOW, index=f"shop{seq}", settings=SETTINGS, default_weights={})
        for seq in (1, 2, 3)
    ]
    entries = Audit(history_of(tmp_path, events)).page("", 0, 10).entries
    return [msgspec.json.encode(entry) + b"\n" for entry in entries]


def export(folder: Path, lines: list[bytes]) -> Path:
    file = folder / "export.ndjson"
    file.write_bytes(b"".join(lines))
    return file


def test_a_complete_export_is_accepted(tmp_path: Path, lines: list[bytes]) -> None:
    report = check_export(export(tmp_path, lines))
    assert (report.n_changes, len(report.chain)) == (3, 64)


def test_a_missing_change_is_named(tmp_path: Path, lines: list[bytes]) -> None:
    with pytest.raises(click.ClickException, match="line 2 has change 3; expected 2"):
        check_export(export(tmp_path, [lines[0], lines[2]]))


def test_an_altered_change_is_named(tmp_path: Path, lines: list[bytes]) -> None:
    lines[1] = lines[1].replace(b"shop2", b"shopX")
    with pytest.raises(click.ClickException, match="line 2: change 2, or one before it, was altered"):
        check_export(export(tmp_path, lines))


def test_a_line_that_is_no_change_is_named(tmp_path: Path, lines: list[bytes]) -> None:
    with pytest.raises(click.ClickException, match="line 4 is not a change"):
        check_export(export(tmp_path, [*lines, b"{}\n"]))
