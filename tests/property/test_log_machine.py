"""The whole log against plain dicts: any order of writes, retries, kills, lost metadata and restarted folds.

A real nats-server runs under it. `SEARCHSVC_TEST_ROUNDS` multiplies the runs (`make test-faults`).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from events import server
from events.codec import decode_behavior, decode_catalog, encode
from events.control import ControlState, control_hash, fold_message
from events.copy import ControlCopy
from events.digest import CatalogFold, DocumentsDigest, state_hash
from events.edits import SetWeights
from events.errors import Conflict, Unavailable
from events.jetstream.event_log import JetStreamEventLog, connect
from events.log import Entry
from events.streams import catalog_subject, control_subject
from events.types import ChangePublished, DocumentDeleted, DocumentUpserted, IndexConfigured, InteractionRecorded
from searchsvc.behavior.follower import BehaviorFollower
from searchsvc.behavior.state import BehaviorState
from searchsvc.behavior.writer import BehaviorWriter
from tests.factories import NOW, SETTINGS, click
from tuning.features import default_weights

ROUNDS = int(os.environ.get("SEARCHSVC_TEST_ROUNDS", "1"))
names = st.sampled_from(["a", "b", "c", "d"])


class LogMachine(RuleBasedStateMachine):
    """control: the bytes of CONTROL in order. documents: id -> text. events: ids that were answered as stored."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="searchsvc-machine-"))
        self.nats = server.start(self.folder)
        self.runner = asyncio.Runner()
        self.control: list[bytes] = []
        self.documents: dict[str, bytes] = {}
        self.events: set[str] = set()
        self.last: tuple[Entry, int] | None = None
        self.n_killed = 0
        self.copy = ControlCopy(self.folder / "control.ndjson")
        self.log: JetStreamEventLog = self.runner.run(self._connect())
        self.runner.run(self._start_folds())
        event = IndexConfigured(
            id="0", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
        )
        self._append_control(encode(event), "0")

    def teardown(self) -> None:
        self.runner.run(self._stop_folds())
        self.runner.run(self.log.close())
        self.runner.close()
        self.copy.close()
        self.nats.stop()
        shutil.rmtree(self.folder)

    @rule(value=st.floats(-10, 10))
    def change_weights(self, value: float) -> None:
        event_id = f"w{len(self.control)}"
        event = ChangePublished(id=event_id, timestamp=NOW, index="shop", edits=(SetWeights({"cosine": value}),))
        self._append_control(encode(event), event_id)

    @rule(behind=st.integers(1, 3))
    def change_weights_on_a_stale_state(self, behind: int) -> None:
        expected = len(self.control) - behind
        entry = Entry(control_subject("shop"), b"{}", "stale")
        if expected >= 0:
            with pytest.raises(Conflict) as refused:
                self.runner.run(self.log.append("CONTROL", entry, expected_last_seq=expected))
            assert refused.value.actual == len(self.control)

    @precondition(lambda self: self.last is not None)
    @rule()
    def send_the_last_change_again(self) -> None:
        assert self.last is not None
        entry, seq = self.last
        assert self.runner.run(self.log.append("CONTROL", entry, expected_last_seq=seq - 1)) == seq

    @rule(batch=st.lists(st.tuples(names, st.integers(0, 9)), min_size=1, max_size=4))
    def write_documents(self, batch: list[tuple[str, int]]) -> None:
        entries = []
        for name, value in batch:
            text = msgspec.json.encode({"id": name, "title": str(value)})
            event = DocumentUpserted(index="shop", id=name, document=msgspec.Raw(text))
            entries.append(Entry(catalog_subject("shop", 1, name), encode(event)))
            self.documents[name] = text
        self.runner.run(self.log.append_batch("CATALOG", entries))

    @rule(name=names)
    def delete_a_document(self, name: str) -> None:
        entry = Entry(catalog_subject("shop", 1, name), encode(DocumentDeleted(index="shop", id=name)))
        self.runner.run(self.log.append("CATALOG", entry))
        self.documents.pop(name, None)

    @rule(ids=st.lists(st.integers(0, 20), min_size=1, max_size=5))
    def record_events(self, ids: list[int]) -> None:
        events = [click(f"e{i}", None) for i in ids]
        self.runner.run(self.writer.append(events))
        self.events |= {event.id for event in events}

    @precondition(lambda self: self.n_killed < 3)
    @rule(lose_metadata_of=st.sampled_from(["", "CONTROL", "CATALOG", "BEHAVIOR"]))
    def kill_the_server(self, lose_metadata_of: str) -> None:
        self.n_killed += 1
        os.kill(self.nats.address.pid, signal.SIGKILL)
        while self.nats.running:
            pass
        if lose_metadata_of:
            (self.folder / "nats" / "jetstream" / "LOG" / "streams" / lose_metadata_of / "meta.inf").unlink()
        self.nats.spawn()
        self.nats.await_answer()
        self.runner.run(self._reconnected())

    @rule(save=st.booleans())
    def restart_the_folds(self, save: bool) -> None:
        """Restart as after a stop, or as after a kill that left an older snapshot or none."""
        self.runner.run(self._stop_folds(save=save))
        self.runner.run(self._start_folds())

    @invariant()
    def everything_is_as_the_model_has_it(self) -> None:
        self.runner.run(self._check())

    async def _check(self) -> None:
        state, replayed = ControlState(), ControlState()
        for seq, data in enumerate(self.control, start=1):
            state = fold_message(state, data, seq)
        async for record in self.log.read("CONTROL"):
            replayed = fold_message(replayed, record.data, record.seq)
            self.copy.confirm(record, replayed.chain)
        catalog = CatalogFold()
        async for record in self.log.read("CATALOG"):
            catalog.apply(record.subject, decode_catalog(record.data))
        expected = DocumentsDigest().changed(list(self.documents.values()), [])
        assert control_hash(replayed) == control_hash(state)
        assert state_hash(replayed, {"shop": catalog.digest("shop", 1)}) == state_hash(state, {"shop": expected})
        stored = [
            event.id
            async for record in self.log.read("BEHAVIOR")
            for event in decode_behavior(record.data).events
            if isinstance(event, InteractionRecorded)
        ]
        assert sorted(stored) == sorted(self.events), "each once"

    async def _connect(self) -> JetStreamEventLog:
        account = self.nats.address.accounts["service"]
        log = await connect(self.nats.address.url, user=account.user, password=account.password)
        await log.ensure_streams()
        return log

    async def _reconnected(self) -> None:
        async with asyncio.timeout(60):
            while True:
                try:
                    await self.log.ensure_streams()
                    return
                except Unavailable:
                    await asyncio.sleep(0.02)

    async def _start_folds(self) -> None:
        self.memory = BehaviorState(n_rankings=10, n_events=10_000)
        self.writer = BehaviorWriter(self.log, self.memory, outbox_size=10)
        self.follower = BehaviorFollower(self.log, self.memory, None, self.folder / "behavior")
        self.follower.restore()
        self.following = asyncio.create_task(self.follower.run())
        self.writing = asyncio.create_task(self.writer.run())
        async with asyncio.timeout(60):
            await self.follower.caught_up.wait()

    async def _stop_folds(self, *, save: bool = True) -> None:
        self.writer.close()
        await self.writing
        assert not self.following.done(), "the follower found something missing"
        self.following.cancel()
        await asyncio.wait([self.following])
        if save:
            await self.follower.save()

    def _append_control(self, data: bytes, event_id: str) -> None:
        entry = Entry(control_subject("shop"), data, event_id)
        seq = self.runner.run(self.log.append("CONTROL", entry, expected_last_seq=len(self.control)))
        self.control.append(data)
        assert seq == len(self.control)
        self.last = (entry, seq)


LogMachine.TestCase.settings = settings(
    max_examples=4 * ROUNDS,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLogMachine = LogMachine.TestCase
