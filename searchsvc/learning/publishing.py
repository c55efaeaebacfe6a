"""Carries out decisions: by the commands and drafts that people use, under the same policies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, MutableMapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from events.edits import Edit, SetLearning, SetWeights
from events.errors import Forbidden, SearchsvcError, Unavailable
from events.index_control import IndexControl
from searchsvc.changes.author import Author
from searchsvc.changes.command import Origin
from searchsvc.changes.commands import Commands
from searchsvc.changes.drafts import Drafts
from searchsvc.learning.checks import PROPOSALS, DecisionChecks
from searchsvc.state.serving import Serving
from tuning.online.decision import Decision, changed_weights, edits_of, frozen_learning

ACTOR: Final = "learner"
DRAFT: Final = "learnt"
RETRY_S: Final = 1.0
log = logging.getLogger(__name__)


class DecisionPublisher:
    """Writes decisions to CONTROL, and suggestions into a draft."""

    def __init__(self, serving: Serving, commands: Commands, drafts: Drafts, clock: Callable[[], datetime]) -> None:
        self._serving = serving
        self._commands = commands
        self._drafts = drafts
        self._clock = clock

    async def publish(self, name: str, decision: Decision) -> None:
        """Carry out a decision.

        Raises Unavailable if the log cannot be written, InvalidInput if the decision no longer applies, and
        Forbidden if a policy does not allow it; a rollback whose freeze is forbidden has been carried out then.
        """
        author = Author(ACTOR, decision.step.why, "worker")
        if decision.step.kind == "suggested":
            await self._suggest(name, decision, author)
            return
        freezing = decision.step.kind in ("rolled_back", "frozen")
        try:
            await self._publish(name, decision, author, freezing=freezing)
        except Forbidden:
            if not freezing:
                raise
            # An actor that may not change how an index learns may still roll back.
            await self._publish(name, decision, author, freezing=False)
            raise

    async def _publish(self, name: str, decision: Decision, author: Author, *, freezing: bool) -> None:
        # A rollback restores what was in force: its size is not limited, and it needs no approval.
        history = self._serving.current.control.index(name).history
        restores = history[-2].seq if decision.step.kind == "rolled_back" and len(history) > 1 else None
        edits = partial(self._edits, decision=decision, freezing=freezing)
        await self._commands.publish(name, edits, author, Origin(restores=restores))

    def _edits(self, index: IndexControl, decision: Decision, *, freezing: bool) -> Sequence[Edit]:
        edits = edits_of(index, decision)
        # If there is nothing left to take back, a person has already acted.
        if edits and freezing and not index.learning.frozen:
            edits.append(SetLearning(frozen_learning(index.learning, why=decision.step.why, now=self._clock())))
        return edits

    async def _suggest(self, name: str, decision: Decision, author: Author) -> None:
        """Write a draft that replaces the learner's last one; a person's draft of that name stays."""
        changed = changed_weights(self._serving.current.control.index(name), decision.weights)
        if not changed:
            return
        drafts = {draft.id: draft for draft in await self._drafts.drafts_of(name)}
        last = drafts.get(DRAFT)
        if last is not None and last.actor != ACTOR:
            raise Unavailable(f"draft {DRAFT} belongs to {last.actor}")
        version = last.version if last is not None else 0
        await self._drafts.save(name, DRAFT, [SetWeights(changed)], version, author)


class DecisionQueue:
    """Checks and carries out decisions, and retries those that could not be written.

    messages: by index, the last message for people; written.
    follow_again: has the learners compare themselves with CONTROL, after a decision was not carried out.
    """

    def __init__(
        self,
        checks: DecisionChecks,
        publisher: DecisionPublisher,
        messages: MutableMapping[str, str],
        follow_again: Callable[[], None],
    ) -> None:
        self._checks = checks
        self._publisher = publisher
        self._messages = messages
        self._follow_again = follow_again
        # By index and kind: a newer proposal replaces one that was not checked yet.
        self._proposals: dict[tuple[str, str], Decision] = {}
        self._task: asyncio.Task[None] | None = None
        self._unwritten: list[tuple[str, Decision]] = []
        self._retry_at = 0.0

    def postpone(self, decisions: Sequence[tuple[str, Decision]]) -> None:
        """Have the next `carry_out` carry out these decisions too."""
        self._unwritten += decisions

    async def carry_out(self, decisions: Sequence[tuple[str, Decision]]) -> None:
        """Carry out decisions. Those that take searches are carried out in a task of their own.

        decisions: with the name of their index.
        """
        due = [*decisions]
        if self._unwritten and time.monotonic() >= self._retry_at:
            due, self._unwritten = [*self._unwritten, *due], []
        for name, decision in due:
            if self._checks.needs_searches(name, decision):
                self._proposals[name, decision.step.kind] = decision
            else:
                await self._carry_out(name, decision)
        if self._proposals and self._task is None:
            self._task = asyncio.create_task(self._carry_out_proposals(), name="propose")

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _carry_out_proposals(self) -> None:
        try:
            while self._proposals:
                (name, kind), decision = next(iter(self._proposals.items()))
                del self._proposals[name, kind]
                await self._carry_out(name, decision)
        finally:
            self._task = None

    async def _carry_out(self, name: str, decision: Decision) -> None:
        """Check and publish a decision, and note its outcome."""
        try:
            checked = await self._checks.check(name, decision)
            if isinstance(checked, str):
                self._messages[name] = checked
                self._follow_again()
                return
            decision = checked
            await self._publisher.publish(name, decision)
            self._messages[name] = f"{decision.step.kind}: {decision.step.why}"
        except Unavailable as error:
            self._messages[name] = f"{decision.step.kind}, and not written yet: {error}"
            if decision.step.kind in PROPOSALS:
                # Another proposal will follow.
                self._follow_again()
            else:
                self._unwritten.append((name, decision))
                self._retry_at = time.monotonic() + RETRY_S
        except SearchsvcError as error:
            self._messages[name] = f"{decision.step.kind}, and not carried out: {error}"
            log.warning("index %s: %s", name, self._messages[name])
            self._follow_again()
