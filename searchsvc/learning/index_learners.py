"""One learner for each index that learns. Follows CONTROL, and continues from snapshots."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from events.control import ControlState
from events.index_control import IndexControl
from events.types import RankingShown
from searchsvc.learning.queue import QueuedEvent
from searchsvc.learning.status import LearningStatus, status_of
from searchsvc.learning.teacher import Teacher
from searchsvc.state.serving import Serving
from searchsvc.state.serving_state import IndexBehavior
from tuning.learners.exploration import Exploration
from tuning.online.behavior import LearntBehavior
from tuning.online.decision import Decision
from tuning.online.learner import IndexLearner

log = logging.getLogger(__name__)


class Outcome(msgspec.Struct, frozen=True):
    """What follows from events.

    decisions: with the name of their index.
    behavior: behavior values to publish, by index.
    explorations: exploration shares to publish, by index.
    """

    decisions: list[tuple[str, Decision]] = []
    behavior: dict[str, list[LearntBehavior]] = {}
    explorations: dict[str, Exploration] = {}


class IndexLearners:
    """The learners by index. All methods but `follow_again` are for the learning thread.

    settle: how long a page stays open.
    secret: key of the hashes that learners store.
    incomplete: indexes whose learner has yet to read the log from its beginning. Replaced as a whole, so that any
        thread may read it.
    """

    def __init__(self, serving: Serving, teacher: Teacher, settle: timedelta, secret: bytes) -> None:
        self.incomplete: frozenset[str] = frozenset()
        self.teacher = teacher
        self._serving = serving
        self._settle = settle
        self._secret = secret
        self._learners: dict[str, IndexLearner] = {}
        # Packed parts of a snapshot, by index and creation, that no learner has taken yet.
        self._restored: dict[str, dict[str, bytes]] = {}
        self._followed = ControlState()
        # Message of BEHAVIOR up to which the learner of an index read the log by itself.
        self._read_seqs: dict[str, int] = {}

    def learn(self, events: Sequence[QueuedEvent], control: ControlState, now: datetime, *, republish: bool) -> Outcome:
        """Learn from events, and return what follows from them.

        now: pages that are due by then are closed.
        republish: publish again what serving holds.
        """
        self._follow(control)
        for seq, event in events:
            index = event.index if isinstance(event, RankingShown) else event.interaction.index
            learner = self._learners.get(index)
            if learner is None or seq <= self._read_seqs.get(index, 0):
                continue
            try:
                self.teacher.show(learner, event)
            except Exception:
                # No event may stop the events after it.
                log.exception("index %s: nothing was learnt from an event of BEHAVIOR message %d", index, seq)
        outcome = Outcome([], {}, {})
        for name, learner in self._learners.items():
            if republish:
                self._republish(name, learner)
        for name, learner in self._learners.items():
            try:
                outcome.decisions.extend((name, decision) for decision in learner.decide(now))
            except Exception:
                log.exception("index %s: nothing was learnt from a page", name)
            behavior = learner.learnt_behavior(now)
            if behavior:
                outcome.behavior[name] = behavior
            if learner.new_exploration_share() is not None:
                outcome.explorations[name] = msgspec.structs.replace(learner.weights.exploration)
        return outcome

    def follow_again(self) -> None:
        """Have the next `learn` compare each learner with CONTROL, even if CONTROL has not changed."""
        self._followed = ControlState()

    def status(self, name: str, message: str) -> LearningStatus:
        return status_of(self._learners.get(name), message)

    def packed(self) -> bytes:
        """Return everything learnt, for a snapshot. Incomplete learners are left out: a restart starts them anew."""
        complete = {name: learner for name, learner in self._learners.items() if name not in self.incomplete}
        parts = {f"{name}/{learner.created_seq}": learner.parts() for name, learner in complete.items()}
        # Before CONTROL is known, no learner has taken what was restored.
        return msgspec.msgpack.encode({**self._restored, **parts})

    def restore(self, packed: bytes) -> None:
        """Continue from `packed`. Raises msgspec.DecodeError if it is malformed."""
        self._restored = msgspec.msgpack.decode(packed, type=dict[str, dict[str, bytes]])

    def new_learner(self, index: IndexControl, *, silent: bool = False) -> IndexLearner:
        return IndexLearner(index, self._settle, self._secret, silent=silent)

    def replace(self, name: str, learner: IndexLearner, read_seq: int) -> None:
        """Replace the present learner by one that read the log.

        read_seq: message of BEHAVIOR up to which it read.
        """
        current = self._learners.get(name)
        if current is not None and current.created_seq == learner.created_seq:
            learner.take_over(current)
            # Serving may hold values from before something was to be ignored, or before the index stopped learning.
            self._republish(name, learner)
            self._learners[name] = learner
            self._read_seqs[name] = read_seq
            self.incomplete -= {name}

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
                self._learners[name] = self._start(name, index)
                continue
            if before.indexes.get(name) is not index:
                learner.follow(index)
            if learner.ignored != index.learning.ignored:
                self.incomplete |= {name}
        for name in [name for name in self._learners if name not in control.indexes]:
            del self._learners[name]
        self.incomplete &= self._learners.keys()
        self._read_seqs = {name: seq for name, seq in self._read_seqs.items() if name in self._learners}
        if control.seq:
            # An index that does not learn now would miss the events until it does.
            self._restored.clear()

    def _start(self, name: str, index: IndexControl) -> IndexLearner:
        """Return a learner that continues from the snapshot; if there is none, it has to read the log."""
        learner = self.new_learner(index)
        parts = self._restored.pop(f"{name}/{index.created_seq}", None)
        if parts is None:
            self.incomplete |= {name}
            return learner
        try:
            learner.restore(parts)
        except (KeyError, ValueError, msgspec.DecodeError) as error:
            log.warning("index %s is relearnt: its snapshot is of another version: %s", name, error)
            self.incomplete |= {name}
            return self.new_learner(index)
        return learner

    def _republish(self, name: str, learner: IndexLearner) -> None:
        """Publish again what serving holds."""
        served = self._serving.current.behavior.get(name, IndexBehavior())
        learner.republish(("", document_id) for document_id in served.documents)
        learner.republish(
            (words, document_id) for words, documents in served.queries.items() for document_id in documents
        )
