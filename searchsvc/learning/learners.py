"""The shell around what indexes learn: events come in, changes and signals go out.

All learning is done on one thread of its own, in the order of the log, so that searches do not wait for it; what the
thread decides is published on the event loop, by the same commands that people use, and is an event like theirs. What a
policy of the index does not allow is not done.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Final

import msgspec

from events.codec import decode_behavior, encode
from events.control import ControlState
from events.edits import Edit, SetLearning, SetWeights
from events.errors import Forbidden, SearchsvcError, Unavailable
from events.index_control import IndexControl
from events.log import Entry, EventLog
from events.streams import exploration_subject, signal_subject
from events.types import (
    BehaviorEvent,
    DocumentBehaviorLearnt,
    ExplorationLearnt,
    QueryBehaviorLearnt,
    RankingShown,
    SignalEvent,
)
from searchsvc.analysis.analyzer import query_key
from searchsvc.behavior.keyring import Keyring, open_ranking
from searchsvc.behavior.redaction import REDACTED
from searchsvc.changes.author import Author
from searchsvc.changes.command import Origin
from searchsvc.changes.commands import Commands
from searchsvc.changes.drafts import Drafts
from searchsvc.engines.attributes import families
from searchsvc.rehearsal.repeating import RepeatedSearches
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import IndexBehavior
from tuning.clicks.join import Clickthrough, ClickthroughJoin
from tuning.gate.pipeline import Step
from tuning.gate.steps import rounded_weight
from tuning.learners.coec import UserQuery
from tuning.learners.exploration import Exploration
from tuning.online.learner import MAX_AFTER, Decision, IndexLearner, Learnt, changed_weights, edits_of, frozen

ACTOR: Final = "learner"
DRAFT: Final = "learnt"
EVERY_S: Final = 0.05
RETRY_S: Final = 1.0
MAX_WAITING: Final = 5_000
# Signals that are written side by side.
AT_ONCE: Final = 100
log = logging.getLogger(__name__)


class LearningStatus(msgspec.Struct, frozen=True):
    """stage: idle, gate, ramp or frozen. n_pages: learnt from. n_documents: of which something is known; n_boosted:
    whose
    scores it moves. evidence: at the gate, that the candidate is better, from 1; alarm: on the ramp, that it was a
    mistake, from 0. moved_by: by weight that is furthest from what was learnt, the searches that pulled it that way
    most since something was published. exploration_share: the share of searches that are worth leaving to chance, at
    most that
    of the settings; uncertainty: how unsure the learner is of neighbours that are nearly alike, from 0 to 1. message:
    what was
    decided last, and what could not be done."""

    stage: str
    n_pages: int
    n_documents: int
    n_boosted: int
    evidence: float
    alarm: float
    moved_by: Mapping[str, tuple[str, ...]] = {}
    exploration_share: float = 0.0
    uncertainty: float = 1.0
    message: str = ""


class _Outcome(msgspec.Struct, frozen=True):
    """What came of some events, by index."""

    decisions: list[tuple[str, Decision]]
    learnt: dict[str, list[Learnt]]
    explored: dict[str, Exploration]


class _Teacher:
    """Tells learners what happened, with what the events alone do not say: the query, which is sealed, and what new
    documents belong to. On the learners' thread."""

    def __init__(self, serving: Serving, keyring: Keyring) -> None:
        self._serving = serving
        self._keyring = keyring

    def tell(self, learner: IndexLearner, event: RankingShown | Clickthrough) -> None:
        if isinstance(event, RankingShown):
            strangers = learner.strangers(event)
            if strangers:
                learner.introduce(self._families(event.index, strangers))
            learner.show(event, self._asked(event))
        elif event.ranking is not None:
            learner.act(event.ranking, event.interaction, self._asked(event.ranking))

    def _asked(self, ranking: RankingShown) -> UserQuery | None:
        """None where it may not be read any more, or may name somebody."""
        if not ranking.sealed_query:
            # Of somebody who is not known, nothing is learnt of documents.
            return None
        user = self._keyring.by_pseudonym(ranking.user)
        clear = open_ranking(ranking, user)
        if user is None or clear is None or REDACTED.search(clear.query):
            return None
        words = query_key(clear.query)
        # Under the user's key, and not as the log has it: once that is gone, nobody can tell who asked.
        who = int.from_bytes(user.keyed_hash(f"learnt\0{words}").encode()[:7])
        return UserQuery(words, who) if words else None

    def _families(self, index: str, document_ids: Sequence[str]) -> dict[str, list[str]]:
        """Those that cannot be read now are asked for the next time that they are shown."""
        try:
            state = self._serving.current
            names, reading = state.control.index(index).learning.families, state.snapshot(index).reading()
            slots = {one: slot for one in document_ids if (slot := reading.find(one)) is not None}
            read = zip(slots, reading.read([*slots.values()]), strict=True)
            return {one: families(msgspec.json.decode(raw), names) for one, raw in read if raw is not None}
        except SearchsvcError as error:
            log.debug("new documents of index %s begin as the average: %s", index, error)
            return {}


class _Anew:
    """A learner that reads the log by itself. read: up to where."""

    def __init__(self, learner: IndexLearner, join: ClickthroughJoin, teacher: _Teacher) -> None:
        self.learner = learner
        learner.silent = True
        self._teacher = teacher
        self.read = self.n_events = 0
        self._join = join

    def learn(self, data: bytes, index: str) -> None:
        """From a message of BEHAVIOR. On the learners' thread."""
        for event in decode_behavior(data).events:
            if event.index != index:
                continue
            self.n_events += 1
            try:
                self._learn(event)
            except Exception:
                # Whatever it is, it must not keep what comes after it.
                log.exception("index %s: nothing was learnt from %s", index, event.id)

    def _learn(self, event: BehaviorEvent) -> None:
        if isinstance(event, RankingShown):
            self._teacher.tell(self.learner, event)
        for one in self._join.apply(event):
            if isinstance(one, Clickthrough):
                self._teacher.tell(self.learner, one)
        now = event.timestamp if isinstance(event, RankingShown) else event.received_at
        for _ in self.learner.decide(now):
            # Whatever was decided then was decided then.
            pass


class Learners:
    """One learner for each index that is to learn. settle: how long a page stays open."""

    def __init__(
        self,
        event_log: EventLog,
        serving: Serving,
        commands: Commands,
        drafts: Drafts,
        replays: RepeatedSearches,
        keyring: Keyring,
        *,
        settle: timedelta,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log = event_log
        self._serving = serving
        self._commands = commands
        self._drafts = drafts
        self._replays = replays
        self._teacher = _Teacher(serving, keyring)
        self._secret = keyring.derive_secret("learning")
        self._settle = settle
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="learner")
        self._waiting: list[tuple[int, RankingShown | Clickthrough]] = []
        self._caught_up = asyncio.Event()
        self._event_time = datetime.fromtimestamp(0, UTC)
        self._given: tuple[int, set[str]] = (-1, set())
        self._ended = False
        self._room = asyncio.Event()
        self._newest = 0
        # Of an index that was learnt anew: what its learner read of the log by itself.
        self._read: dict[str, int] = {}
        self._learners: dict[str, IndexLearner] = {}
        self._restored: dict[str, dict[str, bytes]] = {}
        self._followed = ControlState()
        self._said: dict[str, str] = {}
        # By subject.
        self._pending: dict[str, SignalEvent] = {}
        self._to_rebuild: set[str] = set()
        self._relearning: set[str] = set()
        self._rebuilding: asyncio.Task[None] | None = None
        # By index and kind: one that is not measured yet makes way for the next.
        self._proposals: dict[tuple[str, str], Decision] = {}
        self._proposing: asyncio.Task[None] | None = None
        self._undone: list[tuple[str, Decision]] = []
        self._retry_at = 0.0
        self._to_revise = False
        self._turn = asyncio.Lock()

    def take(self, event: RankingShown | Clickthrough, seq: int) -> None:
        """What comes of the log, in its order. seq: of its message in BEHAVIOR; one that is given again counts once."""
        if self._ended and len(self._waiting) > MAX_WAITING:
            # Nobody learns any more, and `health` says why.
            return
        if isinstance(event, RankingShown):
            if self._given[0] != seq:
                self._given = seq, set()
            if event.id in self._given[1]:
                return
            self._given[1].add(event.id)
            self._replays.keep(event)
        self._waiting.append((seq, event))

    def note_position(self, seq: int) -> None:
        """All up to this message of BEHAVIOR is being given, or was before the start."""
        self._newest = max(self._newest, seq)

    def revise(self) -> None:
        """All that SIGNALS held at the start is served by now: what is not so any more is to be taken back."""
        self._to_revise = True

    async def wait_for_room(self) -> None:
        """Return once what waits is not too much: who reads the log waits for it."""
        if len(self._waiting) > MAX_WAITING and not self._ended:
            self._room.clear()
            await self._room.wait()

    async def run(self, caught_up: asyncio.Event) -> None:
        """Learn, until it is cancelled. caught_up: set once all that the log held at the start was given; before that,
        it is as late as the newest of it."""
        self._caught_up = caught_up
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                try:
                    await self.step()
                except Unavailable as error:
                    # Signals wait, and what was decided is decided again.
                    log.warning("what was learnt could not be written: %s", error)
                if self._to_rebuild and self._rebuilding is None:
                    # Beside: all others go on learning.
                    self._rebuilding = asyncio.create_task(self._rebuild(), name="learn anew")
        finally:
            # Whoever waits for room need not wait for ever.
            self._ended = True
            self._room.set()
            for task in (self._rebuilding, self._proposing):
                if task is not None:
                    task.cancel()

    async def step(self) -> None:
        """Learn from what waits, and publish what comes of it. Raises Unavailable."""
        async with self._turn:
            outcome = await self._worked()
        self._keep_signals(outcome)
        decisions = [*outcome.decisions]
        if self._undone and time.monotonic() >= self._retry_at:
            decisions, self._undone = [*self._undone, *decisions], []
        for index, decision in decisions:
            if decision.step.kind in ("suggested", "proposed") or self._is_judged(index, decision):
                # To measure it takes searches, and what is learnt meanwhile does not wait for them.
                self._proposals[index, decision.step.kind] = decision
            else:
                await self._carry_out(index, decision)
        if self._proposals and self._proposing is None:
            self._proposing = asyncio.create_task(self._propose(), name="propose")
        await self._write_signals()

    async def state_parts(self) -> bytes:
        """All that was learnt of what was given so far, for a snapshot; `restore` takes it."""
        async with self._turn:
            outcome = await self._worked()
            self._keep_signals(outcome)
            # For the next step. After a stop there is none: then CONTROL says how far it came.
            self._undone += outcome.decisions
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._packed)

    def restore(self, held: bytes) -> None:
        """Raises msgspec.DecodeError where that is no part of a snapshot."""
        self._restored = msgspec.msgpack.decode(held, type=dict[str, dict[str, bytes]])

    async def status(self, index: str) -> LearningStatus:
        """As it is between two steps."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._status, index)

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    async def _worked(self) -> _Outcome:
        events, self._waiting = self._waiting, []
        self._room.set()
        control = self._serving.current.control
        loop = asyncio.get_running_loop()
        for _, event in events:
            self._event_time = max(self._event_time, _time_of(event))
        now = self._clock() if self._caught_up.is_set() else self._event_time
        return await loop.run_in_executor(self._thread, self._work, events, control, now)

    def _work(
        self, events: Sequence[tuple[int, RankingShown | Clickthrough]], control: ControlState, now: datetime
    ) -> _Outcome:
        """On the learners' thread."""
        self._follow(control)
        for seq, event in events:
            index = event.index if isinstance(event, RankingShown) else event.interaction.index
            learner = self._learners.get(index)
            if learner is None or seq <= self._read.get(index, 0):
                continue
            try:
                self._teacher.tell(learner, event)
            except Exception:
                # Whatever it is, it must not keep what comes after it.
                log.exception("index %s: nothing was learnt from an event in BEHAVIOR %d", index, seq)
        if self._to_revise:
            self._to_revise = False
            for name, learner in self._learners.items():
                self._revise(name, learner)
        decisions, learnt, explored = list[tuple[str, Decision]](), {}, {}
        for name, learner in self._learners.items():
            try:
                decisions += [(name, decision) for decision in learner.decide(now)]
            except Exception:
                log.exception("index %s: nothing was learnt from a page", name)
            found = learner.learnt(now)
            if found:
                learnt[name] = found
            if learner.explored() is not None:
                explored[name] = msgspec.structs.replace(learner.exploration)
        return _Outcome(decisions, learnt, explored)

    def _follow(self, control: ControlState) -> None:
        if control is self._followed:
            return
        before, self._followed = self._followed, control
        for name, index in control.indexes.items():
            learner = self._learners.get(name)
            if index.learning.mode == "off":
                self._learners.pop(name, None)
                continue
            if learner is None or learner.created_seq != index.created_seq:
                self._learners[name] = self._begun(name, index)
                continue
            old = before.indexes.get(name)
            if old is not index:
                learner.follow(index)
            if learner.learnt_without != index.learning.ignored and name not in self._relearning:
                self._to_rebuild.add(name)
        for name in [name for name in self._learners if name not in control.indexes]:
            del self._learners[name]
        if control.seq:
            # What does not learn now has missed what comes meanwhile.
            self._restored.clear()

    def _begun(self, name: str, index: IndexControl) -> IndexLearner:
        """A learner that goes on where the last snapshot ended; without one it learns from what the log holds."""
        learner = self._made(index)
        held = self._restored.pop(f"{name}/{index.created_seq}", None)
        if held is None:
            self._to_rebuild.add(name)
            return learner
        try:
            learner.restore(held)
        except (KeyError, ValueError, msgspec.DecodeError) as error:
            log.warning("what index %s learnt is of another version, and is learnt again: %s", name, error)
            self._to_rebuild.add(name)
            return self._made(index)
        return learner

    def _made(self, index: IndexControl) -> IndexLearner:
        return IndexLearner(index, self._settle, self._secret)

    def _packed(self) -> bytes:
        # What is to be learnt anew is not learnt yet: a start that finds nothing of it learns it.
        undone = self._to_rebuild | self._relearning
        known = {name: one for name, one in self._learners.items() if name not in undone}
        held = {f"{name}/{one.created_seq}": one.parts() for name, one in known.items()}
        # Before CONTROL is there, nothing has been taken up.
        return msgspec.msgpack.encode({**self._restored, **held})

    async def _rebuild(self) -> None:
        """Learn indexes anew from the log: they began to learn, or are to forget something."""
        try:
            while self._to_rebuild:
                name = next(iter(self._to_rebuild))
                await self._rebuild_one(name)
        except Unavailable as error:
            log.warning("an index could not be learnt anew, and is tried again: %s", error)
            await asyncio.sleep(RETRY_S)
        finally:
            self._rebuilding = None

    async def _rebuild_one(self, name: str) -> None:
        self._to_rebuild.discard(name)
        index = self._serving.current.control.indexes.get(name)
        if index is None or index.learning.mode == "off":
            return
        self._relearning.add(name)
        anew = _Anew(self._made(index), ClickthroughJoin(wait=MAX_AFTER), self._teacher)
        try:
            await self._read_on(name, anew)
            async with self._turn:
                # What came meanwhile. Nothing is learnt between this and the change of places.
                await self._read_on(name, anew)
                await asyncio.get_running_loop().run_in_executor(self._thread, self._take_over, name, anew)
        except BaseException:
            # Stopped, or the log is away: it is not learnt yet.
            self._to_rebuild.add(name)
            raise
        finally:
            self._relearning.discard(name)
        self._said[name] = f"learnt anew from the log: {anew.n_events:,} events"
        # More may be to be ignored by now.
        self._followed = ControlState()

    async def _read_on(self, name: str, anew: _Anew) -> None:
        """Up to what was given to the others."""
        loop = asyncio.get_running_loop()
        while anew.read < self._newest:
            before = anew.read
            async for record in self._log.read("BEHAVIOR", after=anew.read):
                await loop.run_in_executor(self._thread, anew.learn, record.data, name)
                anew.read = record.seq
                if anew.read >= self._newest:
                    break
            if anew.read == before:
                # All of it has left the log by its age.
                break

    def _take_over(self, name: str, anew: _Anew) -> None:
        """On the learners' thread."""
        current = self._learners.get(name)
        if current is not None and current.created_seq == anew.learner.created_seq:
            anew.learner.go_on_for(current)
            # What was said before anything was to be forgotten, or before it was switched off, is in force still.
            self._revise(name, anew.learner)
            self._learners[name] = anew.learner
            self._read[name] = anew.read

    def _status(self, name: str) -> LearningStatus:
        """On the learners' thread: it looks through all that was told."""
        learner, said = self._learners.get(name), self._said.get(name, "")
        if learner is None:
            return LearningStatus("idle", 0, 0, 0, 1.0, 0.0, message=said)
        pipeline, known = learner.pipeline, len(learner.coec.documents.held)
        explores, doubt = max(learner.exploration.told, 0.0), learner.exploration.doubt
        evidence, alarm = pipeline.evidence, pipeline.alarm
        return LearningStatus(
            stage=pipeline.stage,
            n_pages=learner.n_pages,
            n_documents=known,
            n_boosted=learner.n_boosted,
            evidence=evidence,
            alarm=alarm,
            moved_by=learner.moved_by(),
            exploration_share=round(explores, 6),
            uncertainty=round(doubt, 3),
            message=said,
        )

    def _revise(self, name: str, learner: IndexLearner) -> None:
        known = self._serving.current.behavior.get(name, IndexBehavior())
        learner.revise(("", one) for one in known.documents)
        learner.revise((words, one) for words, of in known.queries.items() for one in of)

    async def _propose(self) -> None:
        try:
            while self._proposals:
                (index, kind), decision = next(iter(self._proposals.items()))
                del self._proposals[index, kind]
                await self._carry_out(index, decision)
        finally:
            self._proposing = None

    async def _carry_out(self, name: str, decision: Decision) -> None:
        """Publish what was decided. What is not allowed, or not so any more, is not done, and the reason is kept."""
        step = decision.step
        try:
            if step.kind in ("suggested", "proposed"):
                measured = await self._measured(name, decision)
                if isinstance(measured, str):
                    self._said[name] = measured
                    self._followed = ControlState()
                    return
                decision = measured
            else:
                decision = await self._judged(name, decision)
            step = decision.step
            author = Author(ACTOR, step.why, "worker")
            if step.kind == "suggested":
                await self._suggest(name, decision, author)
            else:
                # To go back is to take back: it may be far, and needs nobody's approval.
                history = self._serving.current.control.index(name).history
                restores = history[-2].seq if step.kind == "rolled_back" and len(history) > 1 else None
                freezing = step.kind in ("rolled_back", "frozen")
                try:
                    edits = partial(self._edits, decision=decision, freezing=freezing)
                    await self._commands.publish(name, edits, author, Origin(restores=restores))
                except Forbidden:
                    if not freezing:
                        raise
                    # Who may not change how an index learns may still go back.
                    edits = partial(self._edits, decision=decision, freezing=False)
                    await self._commands.publish(name, edits, author, Origin(restores=restores))
                    raise
            self._said[name] = f"{step.kind}: {step.why}"
        except Unavailable as error:
            self._said[name] = f"{step.kind}, and is not written yet: {error}"
            if step.kind in ("suggested", "proposed"):
                # There will be another.
                self._followed = ControlState()
            else:
                self._undone.append((name, decision))
                self._retry_at = time.monotonic() + RETRY_S
        except SearchsvcError as error:
            self._said[name] = f"{step.kind}, and could not be done: {error}"
            log.warning("index %s: %s", name, self._said[name])
            self._followed = ControlState()

    async def _measured(self, name: str, decision: Decision) -> Decision | str:
        """As much of a step as whole searches allow, and judged queries; or why it is none."""
        control = self._serving.current.control
        measured = await self._replays.stepped(control, name, decision.weights)
        if measured is None:
            return "what was learnt would change next to nothing, or too much, of whole searches"
        whole = f"{measured.share:.0%} of that on {measured.searches} whole searches moves {measured.moved:.0%}"
        now = control.index(name).weights
        weights = {one: rounded_weight(now.get(one, 0.0), value) for one, value in measured.weights.items()}
        trial = control.index(name).trial
        judged = await self._replays.judged(
            control, name, now, weights, trial.judged_baseline if trial is not None else 0.0
        )
        if judged.worse:
            return f"what was learnt is not tried: {judged.worse}"
        step = msgspec.structs.replace(decision.step, why=f"{decision.step.why}; {whole}")
        return msgspec.structs.replace(decision, step=step, weights=weights, judged=judged.best)

    async def _judged(self, name: str, decision: Decision) -> Decision:
        """What is decided of what is compared, or to give it up, where judged queries are answered worse by now."""
        control, kind = self._serving.current.control, decision.step.kind
        index = control.index(name)
        if index.trial is None or kind not in ("published", "ramped", "settled"):
            return decision
        versions = (index.weights, index.trial.weights)
        before, after = versions if kind == "published" else versions[::-1]
        judged = await self._replays.judged(control, name, before, after, index.trial.judged_baseline)
        if not judged.worse:
            return decision
        step = Step("given_up" if kind == "published" else "rolled_back", judged.worse, 1.0)
        return msgspec.structs.replace(decision, step=step)

    def _edits(self, index: IndexControl, decision: Decision, *, freezing: bool) -> list[Edit]:
        edits = edits_of(index, decision)
        # Where nothing is to be taken back any more, a person has been there.
        if edits and freezing and not index.learning.frozen:
            edits.append(SetLearning(frozen(index.learning, why=decision.step.why, now=self._clock())))
        return edits

    def _is_judged(self, name: str, decision: Decision) -> bool:
        index = self._serving.current.control.indexes.get(name)
        judged = index is not None and bool(index.learning.judgments)
        return judged and decision.step.kind in ("published", "ramped", "settled")

    async def _suggest(self, name: str, decision: Decision, author: Author) -> None:
        """As a draft, in place of the last one of ours; one that a person wrote under its name stays."""
        index = self._serving.current.control.index(name)
        changed = changed_weights(index, decision.weights)
        if not changed:
            return
        drafts = {one.id: one for one in await self._drafts.drafts_of(name)}
        last = drafts.get(DRAFT)
        if last is not None and last.actor != ACTOR:
            raise Unavailable(f"there is a draft {DRAFT} of somebody else's")
        version = last.version if last is not None else 0
        await self._drafts.save(name, DRAFT, [SetWeights(changed)], version, author)

    def _keep_signals(self, outcome: _Outcome) -> None:
        for name, found in outcome.learnt.items():
            self._keep_behavior(name, found)
        for name, exploration in outcome.explored.items():
            self._keep_exploration(name, exploration)

    def _keep_behavior(self, name: str, found: Sequence[Learnt]) -> None:
        index = self._serving.current.control.indexes.get(name)
        if index is None:
            return
        for one in found:
            signal: SignalEvent = DocumentBehaviorLearnt(
                index=name,
                created_seq=index.created_seq,
                document_id=one.document_id,
                factor=round(one.factor, 4),
                log2_lift=round(one.doubled, 3),
                clicks=round(one.behavior.clicks, 3),
                expected_clicks=round(one.behavior.expected, 3),
                users=len(one.behavior.users),
                timestamp=self._clock(),
            )
            if one.query:
                signal = QueryBehaviorLearnt(query=one.query, **msgspec.structs.asdict(signal))
            subject = signal_subject(name, index.created_seq, one.query, one.document_id)
            self._pending[subject] = signal

    def _keep_exploration(self, name: str, found: Exploration) -> None:
        index = self._serving.current.control.indexes.get(name)
        if index is None:
            return
        self._pending[exploration_subject(name, index.created_seq)] = ExplorationLearnt(
            index=name,
            created_seq=index.created_seq,
            share=round(found.told, 6),
            uncertainty=round(found.doubt, 3),
            votes_per_search=round(found.votes / found.pages, 3),
            timestamp=self._clock(),
        )

    async def _write_signals(self) -> None:
        while self._pending:
            some = list(islice(self._pending.items(), AT_ONCE))
            entries = [Entry(subject, encode(signal), uuid.uuid4().hex) for subject, signal in some]
            await asyncio.gather(*(self._log.append("SIGNALS", entry) for entry in entries))
            for subject, signal in some:
                if self._pending.get(subject) is signal:
                    del self._pending[subject]


def _time_of(event: RankingShown | Clickthrough) -> datetime:
    return event.timestamp if isinstance(event, RankingShown) else event.interaction.received_at
