"""The checkpoints that a data folder holds, to check the log against."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from events.log import EventLog
from events.snapshot import Checkpoint, Snapshots, require_checkpoint
from searchsvc.app import log_watch
from searchsvc.behavior import follower


class CheckpointFolder(NamedTuple):
    """Where checkpoints of one stream are.

    schema: of the snapshots that contain them.
    """

    name: str
    schema: int


CHECKPOINTS: Final = (
    CheckpointFolder("behavior", follower.SCHEMA),
    *(CheckpointFolder(folder, log_watch.SCHEMA) for folder in log_watch.WATCHED.values()),
)


async def require_saved_checkpoint(data_path: Path, folder: CheckpointFolder, event_log: EventLog) -> Checkpoint | None:
    """Return the newest checkpoint in a folder; None if there is none.

    Raises Corrupt if the log no longer holds what it held at the checkpoint.
    """
    checkpoint = Snapshots(data_path / folder.name, folder.schema).checkpoint()
    if checkpoint is not None:
        await require_checkpoint(event_log, checkpoint, datetime.now(UTC))
    return checkpoint
