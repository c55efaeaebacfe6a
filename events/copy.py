"""The fsynced copy of CONTROL beside the log's store: it verifies the stream, and restores it.

A nats-server on one disk can lose acknowledged messages silently: a flipped bit hides them, and their sequences are
used again. So every CONTROL message is copied, with the hash of all before it, before anything is served from it.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from events.archive import ArchivedRecord, archive_line, read_line
from events.chain import GENESIS, link
from events.control import ControlState, fold_message
from events.errors import Corrupt, LaterVersion
from events.log import Record

COPY_NAME: Final = "control.ndjson"
REMEDY: Final = "`searchsvc events repair` restores CONTROL from this file and the log"


class ControlCopy:
    """`DATA/control.ndjson`, opened for appending.

    An incomplete last line was never confirmed and is cut off. Raises Corrupt, naming the line and the remedy, if the
    file contradicts itself.

    seq: of its last message; 0 while it is empty
    state: CONTROL when the copy was opened; it is served until the log can be reached
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._chains = [GENESIS]
        # Where each message ends in the file, and when the log stored it: never earlier than the message before, should
        # a clock be set back. Index 0 stands for before the first message.
        self._ends = [0]
        self._times = [datetime.min.replace(tzinfo=UTC)]
        path.touch(mode=0o600)
        content = path.read_bytes()
        complete = content[: content.rfind(b"\n") + 1]
        self.state = ControlState()
        try:
            for archived in read_archive(path, complete):
                self._chains.append(archived.chain)
                self._times.append(max(self._times[-1], archived.timestamp))
                if self.state.seq == archived.seq - 1:
                    with suppress(LaterVersion):
                        self.state = fold_message(self.state, bytes(archived.data), archived.seq)
        except Corrupt as error:
            raise Corrupt(f"{error}; {REMEDY}") from error
        for line in complete.splitlines(keepends=True):
            if line.strip():
                self._ends.append(self._ends[-1] + len(line))
        self._file = path.open("r+b")
        self._file.truncate(len(complete))
        self._file.seek(len(complete))

    @property
    def seq(self) -> int:
        return len(self._chains) - 1

    def confirm(self, record: Record, chain: str) -> None:
        """Append a message durably, or compare it with its copy. Raises Corrupt if they differ."""
        if record.seq <= self.seq:
            if self._chains[record.seq] != chain:
                raise Corrupt(
                    f"CONTROL {record.seq} differs from its copy in {self.path}: it was changed or lost; {REMEDY}"
                )
            return
        if record.seq != self.seq + 1:
            raise Corrupt(f"CONTROL {record.seq} came after {self.seq}: the messages between are missing")
        line = archive_line(record, chain)
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._times.append(max(self._times[-1], record.timestamp))
        self._ends.append(self._ends[-1] + len(line))
        self._chains.append(chain)

    def read(self, after: int, to: int) -> Iterator[ArchivedRecord]:
        """Yield the messages after one sequence, up to and including another. Thread-safe."""
        with self.path.open("rb") as file:
            file.seek(self._ends[after])
            for _ in range(after, to):
                yield read_line(file.readline())

    def seq_at(self, timestamp: datetime) -> int:
        """Return the sequence of the last message stored by a time; 0 for none."""
        return max(bisect_right(self._times, timestamp, hi=self.seq + 1) - 1, 0)

    def close(self) -> None:
        self._file.close()


def read_archive(path: Path, content: bytes | None = None) -> Iterator[ArchivedRecord]:
    """Yield the messages of an archive, in order.

    Raises Corrupt, naming the line, at a gap in CONTROL or a broken chain.
    """
    seq, chain = 0, GENESIS
    lines = (path.read_bytes() if content is None else content).split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            archived = read_line(line)
        except Corrupt as error:
            raise Corrupt(f"{path} line {number}: {error}") from error
        if archived.stream == "CONTROL":
            seq, chain = seq + 1, link(chain, bytes(archived.data))
            if archived.seq != seq:
                raise Corrupt(f"{path} line {number}: CONTROL {archived.seq} in place of {seq}")
            if archived.chain != chain:
                raise Corrupt(f"{path} line {number}: the chain of CONTROL {seq} does not match the messages up to it")
        yield archived
