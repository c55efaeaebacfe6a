"""The format of a data folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.data_folder import prepare, require_format
from events.errors import Corrupt, InvalidInput


def test_a_new_folder_is_marked_before_it_holds_anything_else(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "data"
    prepare(folder)
    assert [path.name for path in folder.iterdir()] == ["format.json"]
    assert (folder / "format.json").read_bytes() == b'{"format":1}\n'
    prepare(folder)
    require_format(folder)


@pytest.mark.parametrize("name", ["control.ndjson", "nats"])
def test_a_log_without_a_marker_is_refused_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    for check in (prepare, require_format):
        with pytest.raises(Corrupt, match=r"an earlier version; this version reads format 1.*log-format\.md"):
            check(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "format.json").write_bytes(b'{"format": 2}')
    for check in (prepare, require_format):
        with pytest.raises(Corrupt, match=r"a log of format 2; this version reads format 1.*log-format\.md"):
            check(tmp_path)


def test_a_damaged_marker_is_refused(tmp_path: Path) -> None:
    (tmp_path / "format.json").write_bytes(b"{")
    with pytest.raises(Corrupt, match="cannot be read"):
        prepare(tmp_path)


def test_a_folder_without_a_log_is_marked_although_it_holds_files(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    prepare(tmp_path)
    require_format(tmp_path)
    assert (tmp_path / "format.json").exists()


def test_checking_a_folder_that_does_not_exist_creates_nothing(tmp_path: Path) -> None:
    require_format(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_file_and_a_folder_that_cannot_be_written_to_are_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path, reason in (
        (file, "it is not a folder"),
        (file / "below", ""),
        (Path("/proc"), ""),
        (Path("/proc/a"), ""),
    ):
        with pytest.raises(InvalidInput, match=f"data folder {path}: {reason}") as refused:
            prepare(path)
        assert (refused.value.field, refused.value.limit) == ("data_dir", "a folder that can be written to")
