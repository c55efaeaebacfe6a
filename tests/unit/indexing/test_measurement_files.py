"""Measurements on disk: what was written is read again, and what is damaged is no loss."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from events.control import ControlState, fold
from events.digest import DocumentsDigest
from events.index_control import IndexControl
from events.types import IndexConfigured
from searchsvc.analysis.adjacent_words import AdjacentWords
from searchsvc.indexing.measurement_files import MeasurementFiles
from searchsvc.indexing.measuring import IndexAge, StoredMeasurements
from tests.factories import NOW, SETTINGS, alike
from tests.indexed_shop import SETTINGS as TITLES
from tests.indexed_shop import IndexedShop

STORED = StoredMeasurements(
    version=1,
    generation="g",
    documents=DocumentsDigest(2, "ab"),
    cut_age=IndexAge("g", 2, 3),
    titles_age=IndexAge("g", 1, 2),
    n_changes=4,
    neighbour_cut=0.25,
    heads={"laptop": frozenset({"sleev"})},
    adjacent=AdjacentWords(frozenset({("laptop", "sleev")}), {"tshirt": 1}),
    digest="d",
)


def index(name: str = "shop", created_seq: int = 1) -> IndexControl:
    event = IndexConfigured(id="1", timestamp=NOW, index=name, settings=SETTINGS, default_weights={})
    return fold(ControlState(), event, created_seq).index(name)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    files = MeasurementFiles(tmp_path / "new")
    assert files.read(index()) is None
    files.write(index(), STORED)
    assert files.read(index()) == STORED
    assert files.read(index(created_seq=2)) is None


def test_no_changed_byte_goes_unnoticed(tmp_path: Path) -> None:
    files = MeasurementFiles(tmp_path)
    files.write(index(), STORED)
    [file] = tmp_path.iterdir()
    content = file.read_bytes()
    for position in range(len(content)):
        file.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert files.read(index()) is None
        file.write_bytes(content[:position])
        assert files.read(index()) is None


def test_only_the_files_of_other_indexes_are_deleted(tmp_path: Path) -> None:
    files = MeasurementFiles(tmp_path)
    for name, seq in (("shop", 1), ("shop", 2), ("shop-1", 1), ("books", 3)):
        files.write(index(name, seq), STORED)
    (tmp_path / "books-3.measured.partial").write_bytes(b"left by a kill")
    files.drop_others([index("shop", 2), index("shop-1", 1)])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["shop-1-1.measured", "shop-2.measured"]


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    files = MeasurementFiles(tmp_path / "file")
    files.write(index(), STORED)
    assert "cannot be stored" in caplog.text
    assert files.read(index()) is None


@pytest.mark.anyio
async def test_a_start_goes_on_with_what_was_measured_before(tmp_path: Path) -> None:
    shop = IndexedShop(tmp_path, alike)
    await shop.configure(TITLES)
    await shop.served(await shop.write("1", title="desk lamp"))
    await shop.indexers.close()
    files = MeasurementFiles(tmp_path / "measurements")
    stored = files.read(index())
    assert stored is not None
    assert stored.adjacent.pairs == {("desk", "lamp")}
    files.write(index(), msgspec.structs.replace(stored, adjacent=AdjacentWords(frozenset({("as", "stored")}))))

    again = IndexedShop(tmp_path, alike, log=shop.log)
    await again.configure(TITLES)
    await again.served(1)
    assert again.serving.current.measurements["shop"].adjacent.pairs == {("as", "stored")}
    await again.served(await again.write("1", title="floor lamp"))
    assert again.serving.current.measurements["shop"].adjacent.pairs == {("floor", "lamp")}
    await again.drop()
    assert not list((tmp_path / "measurements").iterdir())
    await again.indexers.close()
