"""Observes the trial of an index: turns its pages into evidence, and follows what CONTROL says of it. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from events.index_control import IndexControl
from events.types import RankingShown
from tuning.arrays import BoolArray
from tuning.clicks.pages import Page
from tuning.gate.guard import PageOutcome, Shown
from tuning.gate.interleaving import preference
from tuning.gate.pipeline import Pipeline, Step
from tuning.learners.coec import hashed
from tuning.online.comparisons import ComparisonVotes
from tuning.online.parts import drop_oldest

# Id and solo share of a trial: how its versions are displayed.
Display: TypeAlias = tuple[str, float]


class TrialObserver:
    """The evidence on the trial of an index.

    trial_id: id of the trial; '' if there is none.
    """

    def __init__(self) -> None:
        self.pipeline = Pipeline()
        self.trial_id = ""
        # Packed pipelines by trial id: trials that are suspended while another one runs.
        self._suspended: dict[str, bytes] = {}
        self._comparisons = ComparisonVotes()
        # Hashes of the display and of users who had a page; the values are None.
        self._first_pages: OrderedDict[bytes, None] = OrderedDict()
        # None while a decision that changes the display is not in force yet.
        self._display: Display | None = None
        # Config version from which the display is in force.
        self._display_since = 0

    def follow(self, index: IndexControl) -> None:
        """Continue with the trial that CONTROL names, even if another service or a person began it."""
        trial = index.trial
        display = (trial.id, trial.solo_share) if trial is not None else None
        if display != self._display:
            self._display, self._display_since = display, index.config_version
        frozen = bool(index.learning.frozen)
        if trial is None:
            self.trial_id = ""
            if self.pipeline.stage in ("gate", "ramp") or frozen != (self.pipeline.stage == "frozen"):
                self.pipeline.stop(frozen=frozen)
        elif trial.id != self.trial_id or trial.stage != self.pipeline.stage:
            self.trial_id = trial.id
            if trial.id in self._suspended:
                # The trial that replaced it was not begun, or was rejected: it continues with its evidence.
                self.pipeline.restore(self._suspended[trial.id])
            if trial.stage != self.pipeline.stage:
                self.pipeline.resume(trial.stage, trial.solo_share)
        else:
            self.pipeline.align(trial.solo_share)

    def observe(self, page: Page, clicked: BoolArray, index: IndexControl) -> Step | None:
        """Take in a page, and return the decision that follows, if any. clicked: (n,), as shown."""
        if not self._is_of_trial(page.ranking, index):
            return None
        step = self.pipeline.observe(self._outcome(page, clicked))
        if step is not None:
            self._display = None
        return step

    def propose(self, index: IndexControl, trial_id: str, why: str) -> Step:
        """Start a trial that replaces the present one, whose evidence is kept as long as CONTROL names it."""
        trial = index.trial
        named = {trial.id, trial.ramp.id if trial.ramp else ""} if trial is not None else set()
        self._suspended = {name: packed for name, packed in self._suspended.items() if name in named}
        self._suspended[self.trial_id] = msgspec.msgpack.encode(self.pipeline.parts())
        self.trial_id = trial_id
        return self.pipeline.propose(why)

    def parts(self) -> dict[str, bytes]:
        """Return the state that `restore` takes."""
        display = list(self._first_pages), self._display, self._display_since
        return {
            "trial_id": msgspec.msgpack.encode(self.trial_id),
            "pipeline": msgspec.msgpack.encode(self.pipeline.parts()),
            "suspended": msgspec.msgpack.encode(self._suspended),
            "comparisons": msgspec.msgpack.encode(self._comparisons.parts()),
            "display": msgspec.msgpack.encode(display),
        }

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Continue from `parts`. Raises KeyError, ValueError or msgspec.DecodeError if they are malformed."""
        self.trial_id = msgspec.msgpack.decode(parts["trial_id"], type=str)
        self.pipeline.restore(parts["pipeline"])
        self._suspended = msgspec.msgpack.decode(parts["suspended"], type=dict[str, bytes])
        self._comparisons.restore(parts["comparisons"])
        display = tuple[list[bytes], Display | None, int]
        first_pages, self._display, self._display_since = msgspec.msgpack.decode(parts["display"], type=display)
        self._first_pages = OrderedDict.fromkeys(first_pages)

    def _is_of_trial(self, ranking: RankingShown, index: IndexControl) -> bool:
        """Return whether a ranking was shown under the versions and shares in force."""
        return (
            bool(ranking.trial)
            and ranking.trial == self.trial_id
            and self._display is not None
            and ranking.weights_version == index.weights_version
            and ranking.config_version >= self._display_since
        )

    def _outcome(self, page: Page, clicked: BoolArray) -> PageOutcome:
        ranking, interleaved = page.ranking, page.ranking.interleaving
        shown: Shown = "both" if interleaved is not None else "old" if ranking.holdout else "new"
        counted = interleaved is not None and self._comparisons.accepts(ranking.user, interleaved, clicked)
        clicks = carts = 0.0
        if interleaved is not None and counted:
            n_shown = len(ranking.document_ids)
            # On the ramp, the new version is the one in force.
            sign = -1.0 if self.pipeline.stage == "ramp" else 1.0
            clicks, carts = (
                sign * preference(interleaved.in_force, interleaved.challenger, interleaved.coins, chosen, n_shown)
                for chosen in (page.clicked, page.bought)
            )
        return PageOutcome(
            shown=shown,
            first=self._is_first_page(ranking.user),
            counted=counted,
            click_preference=clicks,
            cart_preference=carts,
            clicked=bool(clicked.any()),
            took_ms=ranking.took_ms,
        )

    def _is_first_page(self, user: str) -> bool:
        """Return whether this is the user's first page under the present display. An unknown user's always is."""
        if not user:
            return True
        key = hashed(*map(str, self._display or ()), user)
        seen = key in self._first_pages
        self._first_pages[key] = None
        self._first_pages.move_to_end(key)
        drop_oldest(self._first_pages)
        return not seen
