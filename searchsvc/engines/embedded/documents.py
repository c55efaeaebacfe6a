"""Document texts: one append-only file, an offset a slot. Reads come from the page cache, never through a lock."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import numpy as np

from searchsvc.engines.columnar.columns import Column
from tuning.arrays import AnyArray


class DocumentFile:
    """The writer's side. Opened, the file is cut to what `ends` covers: anything past it was never committed."""

    def __init__(self, path: Path, ends: AnyArray | None = None) -> None:
        self.path = path
        self._ends = Column(np.int64, rows=np.zeros(1, np.int64) if ends is None else ends)
        self._file = _OpenFile(path)
        os.ftruncate(self._file.descriptor, self.size)

    @property
    def size(self) -> int:
        return int(self._ends.view()[-1])

    def append(self, documents: list[bytes]) -> None:
        data = b"".join(documents)
        written = os.pwrite(self._file.descriptor, data, self.size)
        if written != len(data):
            raise OSError(f"wrote {written} of {len(data)} bytes to {self.path}")
        ends = self.size + np.cumsum([len(document) for document in documents], dtype=np.int64)
        self._ends.extend(ends)

    def view(self) -> DocumentView:
        return DocumentView(self._file, self._ends.view())

    def store(self) -> AnyArray:
        return self._ends.view()

    def sync(self) -> None:
        os.fsync(self._file.descriptor)


class DocumentView:
    """The reader's side: the documents up to one commit."""

    def __init__(self, file: _OpenFile, ends: AnyArray) -> None:
        self._file = file
        self._ends = ends

    def read(self, slot: int) -> msgspec.Raw:
        """One document's JSON text as it was received."""
        start, end = self._ends.item(slot), self._ends.item(slot + 1)
        return msgspec.Raw(os.pread(self._file.descriptor, end - start, start))


class _OpenFile:
    """A descriptor that is closed when the last reader let go of it, so that none reads another file's bytes."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __del__(self) -> None:
        os.close(self.descriptor)
