"""The document file: documents by slot, cut to what was committed."""

from __future__ import annotations

from pathlib import Path

from searchsvc.engines.embedded.documents import DocumentFile


def test_documents_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = DocumentFile(tmp_path / "documents")
    file.append([b'{"id":"1"}', b"", b'{"id":"3"}'])
    view = file.view()
    file.append([b"later"])
    assert [bytes(view.read(slot)) for slot in range(3)] == [b'{"id":"1"}', b"", b'{"id":"3"}']
    assert bytes(file.view().read(3)) == b"later"
    assert file.size_bytes == (tmp_path / "documents").stat().st_size == 25


def test_what_was_not_committed_is_cut_off(tmp_path: Path) -> None:
    file = DocumentFile(tmp_path / "documents")
    file.append([b"one", b"two"])
    ends = file.store().copy()
    file.append([b"uncommitted"])
    file.sync()
    reopened = DocumentFile(tmp_path / "documents", ends)
    assert (tmp_path / "documents").stat().st_size == 6
    reopened.append([b"three"])
    assert [bytes(reopened.view().read(slot)) for slot in range(3)] == [b"one", b"two", b"three"]


def test_a_view_reads_a_file_that_was_deleted(tmp_path: Path) -> None:
    file = DocumentFile(tmp_path / "documents")
    file.append([b"one"])
    view = file.view()
    (tmp_path / "documents").unlink()
    del file
    assert bytes(view.read(0)) == b"one"
