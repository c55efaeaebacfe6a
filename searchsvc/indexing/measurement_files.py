"""Measurements of indexes on disk, so that a start need not read all titles again.

A file holds the SHA-256 of the rest and the rest, a `StoredMeasurements`. A file that is damaged, or was written by
another version, is no loss: the index is measured again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from events.index_control import IndexControl
from searchsvc.indexing.measuring import StoredMeasurements
from searchsvc.runtime.files import replace_private

SUFFIX: Final = ".measured"
_DIGEST_BYTES: Final = hashlib.sha256().digest_size

log = logging.getLogger(__name__)


class MeasurementFiles:
    """The files of all indexes, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, control: IndexControl) -> StoredMeasurements | None:
        """Return what was stored last for an index; None if nothing that can be used was."""
        file = self._file(control)
        try:
            content = file.read_bytes()
            if hashlib.sha256(content[_DIGEST_BYTES:]).digest() == content[:_DIGEST_BYTES]:
                return msgspec.msgpack.decode(content[_DIGEST_BYTES:], type=StoredMeasurements)
            log.warning("%s is damaged: the index will be measured again", file)
        except FileNotFoundError:
            pass
        except (OSError, msgspec.DecodeError) as error:
            log.warning("%s cannot be read, so the index will be measured again: %s", file, error)
        return None

    def write(self, control: IndexControl, stored: StoredMeasurements) -> None:
        """Store the measurements of an index. What cannot be written will be measured again."""
        content = msgspec.msgpack.encode(stored)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_private(self._file(control), hashlib.sha256(content).digest() + content)
        except OSError as error:
            log.warning("the measurements of index %s cannot be stored: %s", control.name, error)

    def drop_others(self, controls: Collection[IndexControl]) -> None:
        """Delete the files of every index that is not listed, as far as the disk allows it."""
        files = {self._file(control) for control in controls}
        for file in self._folder.glob(f"*{SUFFIX}*"):
            if file.with_suffix(SUFFIX) not in files:
                with suppress(OSError):
                    file.unlink()

    def _file(self, control: IndexControl) -> Path:
        return self._folder / f"{control.name}-{control.created_seq}{SUFFIX}"
