"""Open the log, and what is served from CONTROL."""

from __future__ import annotations

import shutil
from functools import partial
from typing import Final

import msgspec

from events import server
from events.control import ControlState
from events.copy import COPY_NAME, ControlCopy
from events.history import ControlHistory
from events.jetstream.event_log import JetStreamEventLog
from searchsvc.app.shutdown import Shutdown
from searchsvc.rules.rulebook import Rulebooks
from searchsvc.runtime.config import Config
from searchsvc.runtime.room import RoomGuard, available_memory, memory_usage
from searchsvc.state.control_follower import ControlFollower
from searchsvc.state.serving import Serving

# Of the memory that a service may use, what its log server is told to stay within.
SERVER_SHARE: Final = 0.25


class LogParts(msgspec.Struct, frozen=True):
    """The log and what is served from CONTROL.

    nats: our own server; None for a configured one
    disk: refuses every write to the log while the disk is full
    memory: refuses documents while memory is full
    copy: CONTROL on disk
    """

    nats: server.NatsServer | None
    disk: RoomGuard
    memory: RoomGuard
    copy: ControlCopy
    history: ControlHistory
    event_log: JetStreamEventLog
    serving: Serving
    control: ControlFollower
    rulebooks: Rulebooks

    def served_control(self) -> ControlState:
        """CONTROL as it is served now."""
        return self.serving.current.control


def open_log(config: Config, shutdown: Shutdown) -> LogParts:
    """Open everything that a service is built on; connects to nothing yet. Raises Unavailable and Corrupt."""
    data, nats = config.data_path, None
    memory_bytes = config.memory.limit_mb * 1_000_000 or available_memory()
    if not config.nats.url:
        nats = server.NatsServer(
            data,
            port=config.nats.port,
            ingest_password=config.nats.ingest_password,
            memory_bytes=int(memory_bytes * SERVER_SHARE),
        )
        shutdown.add_blocking(nats.stop)
    copy = ControlCopy(data / COPY_NAME)
    shutdown.add_blocking(copy.close)
    disk = RoomGuard(
        f"the disk of {data}",
        partial(shutil.disk_usage, data),
        warn_share=config.disk.warn_share,
        stop_share=config.disk.stop_share,
        enough_bytes=config.disk.enough_mb * 1_000_000,
    )
    memory = RoomGuard(
        f"the memory of {memory_bytes / 1e6:.0f} MB (memory.limit_mb)",
        partial(memory_usage, memory_bytes, lambda: nats.pid if nats is not None else None),
        warn_share=config.memory.warn_share,
        stop_share=config.memory.stop_share,
        enough_bytes=0,
    )
    event_log = JetStreamEventLog(before_append=disk.require)
    shutdown.add(event_log.close)
    serving = Serving()
    rulebooks = Rulebooks()
    control = ControlFollower(event_log, copy, serving, rulebooks)
    return LogParts(nats, disk, memory, copy, ControlHistory(copy), event_log, serving, control, rulebooks)
