"""Whether the service is well, and why not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from searchsvc import __version__
from searchsvc.behavior.writer import OutboxCounts

if TYPE_CHECKING:  # commands read the health of a service, and need not wait for these
    from events.jetstream.event_log import JetStreamEventLog
    from searchsvc.app.log_watch import LogWatch
    from searchsvc.behavior.recent_rankings import RecentRankings
    from searchsvc.behavior.writer import BehaviorWriter
    from searchsvc.engines.opensearch.node import Node
    from searchsvc.indexing.indexers import Indexers
    from searchsvc.state.serving import Serving

Status = Literal["starting", "ready", "draining", "corrupt"]


class Health(msgspec.Struct, frozen=True):
    """The health of a service.

    status: starting, ready, degraded, draining or corrupt
    reasons: why it is not ready, or not fully
    applied_seq: CONTROL sequence that is served
    indexes: state of each index, by name
    known_rankings: number of rankings that interactions can be checked against
    log_read_at: when all of the log had been read since the start and nothing was missing; null before
    stalled: parts that have work and do not move, each with what waits
    """

    status: str
    reasons: list[str]
    version: str
    applied_seq: int
    indexes: dict[str, str]
    outbox: OutboxCounts
    known_rankings: int
    started_at: datetime
    log_read_at: datetime | None
    stalled: dict[str, str] = {}


class HealthNotes:
    """What the parts of a service report about themselves, from the first moment of a start on.

    reasons: by part, why it is not well
    stalled: by part, what waits while it does not move
    """

    def __init__(self) -> None:
        self.started_at = datetime.now(UTC)
        self.status: Status = "starting"
        self.reasons: dict[str, str] = {}
        self.stalled: dict[str, str] = {}

    def note(self, part: str, reason: str) -> None:
        """Note why a part is not well; '' if it is well again."""
        if reason:
            self.reasons[part] = reason
        else:
            self.reasons.pop(part, None)


class HealthCheck:
    """Describes the health of a started service.

    node: client of the OpenSearch cluster, if one holds the indexes
    """

    def __init__(
        self,
        notes: HealthNotes,
        serving: Serving,
        indexers: Indexers,
        event_log: JetStreamEventLog,
        node: Node | None,
        writer: BehaviorWriter,
        rankings: RecentRankings,
        watch: LogWatch,
    ) -> None:
        self._notes = notes
        self._serving = serving
        self._indexers = indexers
        self._log = event_log
        self._node = node
        self._writer = writer
        self._rankings = rankings
        self._watch = watch

    def __call__(self) -> Health:
        """Describe the service as it is now."""
        reasons, control = self._reasons(), self._serving.current.control
        return Health(
            status="degraded" if self._notes.status == "ready" and reasons else self._notes.status,
            reasons=reasons,
            version=__version__,
            applied_seq=control.seq,
            indexes={name: self._index_state(name) for name in control.indexes},
            outbox=self._writer.counts,
            known_rankings=len(self._rankings),
            started_at=self._notes.started_at,
            log_read_at=self._watch.read_at,
            stalled=dict(self._notes.stalled),
        )

    def _reasons(self) -> list[str]:
        reasons = [f"{part}: {reason}" for part, reason in self._notes.reasons.items()]
        reasons += [f"{part} stands still: {reason}" for part, reason in self._notes.stalled.items()]
        if not self._log.connected:
            detail = f" ({self._log.connect_errors})" if self._log.connect_errors else ""
            reasons.append(f"log: not connected{detail}; searches go on, changes and events answer 503")
        if self._node is not None and self._node.trouble:
            reasons.append(f"opensearch: {self._node.trouble}")
        return reasons + [f"index {name}: {reason}" for name, reason in self._indexers.failed.items()]

    def _index_state(self, name: str) -> str:
        if name in self._indexers.failed:
            return "failed"
        return "ready" if name in self._serving.current.snapshots else "building"
