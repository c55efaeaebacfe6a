"""The data folder: which format it is in.

`DATA/format.json` is written before anything else in a new folder, so a log without it is of an earlier version. See
docs/decisions/log-format.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from events.copy import COPY_NAME
from events.errors import Corrupt, InvalidInput
from events.streams import FORMAT

MARKER_NAME: Final = "format.json"
STORE_NAME: Final = "nats"
MOVE_STEPS: Final = (
    "export the documents with the version that wrote it and import them into a new data folder: "
    "the steps are in docs/decisions/log-format.md"
)


class _Marker(msgspec.Struct, frozen=True):
    format: int


def prepare(folder: Path) -> None:
    """Create a data folder if it is missing, and mark its format if it holds no log yet. Blocks.

    Raises InvalidInput if it cannot be written to, and Corrupt if it holds a log of another format.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise _unusable(folder, "it is not a folder")
        folder.mkdir(parents=True, exist_ok=True)
        require_format(folder)
        if not (folder / MARKER_NAME).exists():
            _write_marker(folder)
        elif not os.access(folder, os.W_OK | os.X_OK):
            raise _unusable(folder, "it cannot be written to")
    except OSError as error:
        raise _unusable(folder, error.strerror or repr(error)) from error


def require_format(folder: Path) -> None:
    """Raise Corrupt if a folder holds a log of another format than this version reads. Writes nothing."""
    try:
        marker = msgspec.json.decode((folder / MARKER_NAME).read_bytes(), type=_Marker)
    except (FileNotFoundError, NotADirectoryError):
        if (folder / COPY_NAME).exists() or (folder / STORE_NAME).exists():
            written = f"{folder} holds a log without {MARKER_NAME}, written by an earlier version"
            raise Corrupt(f"{written}; this version reads format {FORMAT}: {MOVE_STEPS}") from None
        return
    except msgspec.DecodeError as error:
        raise Corrupt(f"{folder / MARKER_NAME} cannot be read: {error}") from error
    if marker.format != FORMAT:
        written = f"{folder} holds a log of format {marker.format}"
        raise Corrupt(f"{written}; this version reads format {FORMAT}: {MOVE_STEPS}")


def _write_marker(folder: Path) -> None:
    """Write the marker whole or not at all, and have it on disk before anything else is written."""
    partial = folder / f"{MARKER_NAME}.partial"
    with partial.open("wb") as file:
        file.write(msgspec.json.encode(_Marker(FORMAT)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    partial.rename(folder / MARKER_NAME)
    for parent in (folder, folder.parent):
        descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unusable(folder: Path, reason: str) -> InvalidInput:
    limit = "a folder that can be written to"
    message = f"data folder {folder}: {reason}; allowed: {limit}"
    return InvalidInput(message, field="data_dir", value=str(folder), limit=limit)
