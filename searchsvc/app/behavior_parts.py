"""Open what follows and writes BEHAVIOR, and what learns from it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from searchsvc.app.change_parts import ChangeParts
from searchsvc.app.health import HealthNotes
from searchsvc.app.log_parts import LogParts
from searchsvc.app.log_watch import LogWatch
from searchsvc.app.search_parts import SearchParts
from searchsvc.app.shutdown import Shutdown
from searchsvc.behavior.dead_letters import DeadLetters
from searchsvc.behavior.dead_store import DeadStore
from searchsvc.behavior.follower import BehaviorFollower
from searchsvc.behavior.ingest import IngestConsumer
from searchsvc.behavior.keyring import Keyring
from searchsvc.behavior.keyring_identity import keyring_loss, open_or_replace, remember_keyring
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.worker import Worker
from searchsvc.behavior.writer import BehaviorWriter
from searchsvc.learning.learners import Learners
from searchsvc.rehearsal.repeating import RepeatedSearches
from searchsvc.runtime.config import Config
from tuning.clicks.join import ClickthroughJoin

# Rankings that the worker holds whole; for an older one it reads the log again.
N_WHOLE_RANKINGS: Final = 10_000
DRAIN_TIMEOUT_S: Final = 3.0
CHECKPOINT_TIMEOUT_S: Final = 0.5


class BehaviorParts(msgspec.Struct, frozen=True):
    """What follows and writes BEHAVIOR.

    worker: None if another service runs the worker
    learners: None if another service runs the worker
    """

    state: BehaviorState
    writer: BehaviorWriter
    follower: BehaviorFollower
    worker: Worker | None
    learners: Learners | None
    ingest: IngestConsumer
    dead_letters: DeadLetters
    dead: DeadStore


async def open_keyring(config: Config, notes: HealthNotes, shutdown: Shutdown) -> Keyring:
    """Open the keys that tie the log to users. If they are not those that the folder had, health says so."""
    keyring = await asyncio.to_thread(open_or_replace, config.data_path, datetime.now(UTC))
    shutdown.add_blocking(keyring.close)
    remember_keyring(config.data_path, keyring.identity)
    notes.note("keyring", keyring_loss(config.data_path, keyring.identity))
    return keyring


def open_learners(
    config: Config, log: LogParts, search: SearchParts, changes: ChangeParts, keyring: Keyring, shutdown: Shutdown
) -> Learners | None:
    """Return the learners; None if another service runs the worker."""
    if not config.worker:
        return None
    learners = Learners(
        log.event_log,
        log.serving,
        changes.commands,
        changes.drafts,
        RepeatedSearches(search.rehearser.compare, keyring),
        keyring,
        settle=timedelta(seconds=config.learning.settle_s),
    )
    shutdown.add_blocking(learners.close)
    return learners


async def open_behavior(
    config: Config, log: LogParts, behavior_state: BehaviorState, keyring: Keyring, learners: Learners | None
) -> BehaviorParts:
    """Open what follows and writes BEHAVIOR, restored from its last snapshot. Raises Corrupt."""
    event_log, rankings = log.event_log, behavior_state.rankings
    writer = BehaviorWriter(
        event_log, behavior_state, outbox_size=config.behavior.outbox, before_write=keyring.ensure_stored
    )
    worker, dead = None, DeadStore(event_log)
    if config.worker:
        wait = timedelta(seconds=config.behavior.join_wait_s)
        worker = Worker(event_log, rankings, ClickthroughJoin(wait=wait, n_rankings=N_WHOLE_RANKINGS), dead, learners)
    follower = BehaviorFollower(event_log, behavior_state, worker, config.data_path / "behavior")
    await asyncio.to_thread(follower.restore)
    ingest = IngestConsumer(event_log, writer, rankings, keyring, log.served_control, dead)
    dead_letters = DeadLetters(event_log, writer, rankings, keyring, log.served_control, dead)
    return BehaviorParts(behavior_state, writer, follower, worker, learners, ingest, dead_letters, dead)


def start_writing(behavior: BehaviorParts, watch: LogWatch, shutdown: Shutdown) -> None:
    """Start to write BEHAVIOR. At the end what was accepted is written, and snapshots and checkpoints are saved."""
    writing = asyncio.create_task(behavior.writer.run(), name="behavior writer")

    async def drain() -> None:
        behavior.writer.close()
        await asyncio.wait([writing], timeout=DRAIN_TIMEOUT_S)
        writing.cancel()

    async def save_checkpoint() -> None:
        # A log that hangs is not waited for: the next start compares with an older checkpoint then.
        async with asyncio.timeout(CHECKPOINT_TIMEOUT_S):
            await watch.save()

    shutdown.add(save_checkpoint)
    shutdown.add(behavior.follower.save)
    shutdown.add(drain)
