"""The path of candidate weights to shoppers, and back if they are worse. Pure.

    proposed   a step towards what was learnt, within all limits (`tuning.gate.steps`)
    gate       every search shows both versions, interleaved, until clicks say that the candidate is better
    (published) or worse, or say neither for long (rejected: `given_up`)
    ramp       the candidate is in force; it alone ranks 1 %, then 10 %, then 50 % of searches, and the others show it
               beside the version before, which is the last good one
    watch      the last rung: one search in twenty goes on comparing the two, until another candidate is tried; where
               the guard (`tuning.gate.guard`) finds that the version before was better, that one is put back

Each decision is a `Step` with its reason in words; the caller turns it into an event.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import numpy as np

from tuning.gate.evalues import Bet
from tuning.gate.guard import Guard, PageOutcome

PipelineStage = Literal["idle", "gate", "ramp", "frozen"]
Kind = Literal["suggested", "proposed", "published", "ramped", "settled", "given_up", "rolled_back", "frozen"]

# Evidence that publishes: of the candidates that are no better, at most one in twenty is published.
BETTER: Final = 20.0
WORSE: Final = 20.0
# Comparisons before the gate decides anything: a burst of one query does not show what shoppers prefer.
MIN_COMPARED: Final = 100
# Pages after which an undecided candidate is rejected.
PATIENCE: Final = 8000
# Pages after which an undecided candidate makes way for newer weights; the n-th renewal in a row waits SLOWER ** n
# times as long.
RENEW_AFTER: Final = 1000
SLOWER: Final = 1.5
SLOWEST: Final = 100_000
# A candidate with this much evidence is close to publication and does not make way.
PROMISING: Final = 5.0
# Comparisons on the last rung before another candidate may be tried.
WATCHED: Final = 100
# (share of searches that the new version ranks alone, number of pages at that share; 0 for no end).
RAMP: Final = ((0.01, 500), (0.1, 500), (0.5, 1000), (0.95, 0))


class Step(msgspec.Struct, frozen=True):
    """One decision.

    why: reason, for a person.
    solo_share: share of searches ranked by the weights in force alone from now on.
    """

    kind: Kind
    why: str
    solo_share: float


class _Parts(msgspec.Struct, array_like=True):
    stage: PipelineStage
    rung: int
    renewals: int
    n_pages: int
    n_compared: int
    bets: list[list[float]]
    guard: tuple[list[list[float]], list[float], list[int]]


class Pipeline:
    """The state of one index's trial. What is compared, and how searches are ranked, is up to the caller."""

    def __init__(self) -> None:
        self.stage: PipelineStage = "idle"
        self._rung = self._renewals = 0
        self._n_pages = self._n_compared = 0
        self._better, self._worse, self._guard = Bet(), Bet(), Guard(RAMP[0][0])

    @property
    def solo_share(self) -> float:
        """Share of searches ranked by the weights in force alone."""
        return {"idle": 1.0, "frozen": 1.0, "gate": 0.0}.get(self.stage, RAMP[self._rung][0])

    def propose(self, why: str) -> Step:
        """Start comparing a candidate, in place of any other. Call it only if `may_propose` is true."""
        self._renewals = self._renewals + 1 if self.stage == "gate" else 0
        self.stage = "gate"
        self._n_pages = self._n_compared = 0
        self._better, self._worse = Bet(), Bet()
        return Step("proposed", why, self.solo_share)

    def publish(self, why: str) -> Step:
        """Put the candidate in force on the first rung; the version before it becomes the last good one."""
        self.stage, self._rung, self._renewals = "ramp", 0, 0
        self._n_pages = self._n_compared = 0
        self._guard = Guard(self.solo_share)
        return Step("published", why, self.solo_share)

    def observe(self, page: PageOutcome) -> Step | None:
        """Take in one page, and return the decision that follows, if any."""
        if self.stage not in ("gate", "ramp"):
            return None
        self._n_pages += 1
        self._n_compared += page.shown == "both" and page.counted
        return self._observe_at_gate(page) if self.stage == "gate" else self._observe_on_ramp(page)

    def stop(self, *, frozen: bool = False) -> None:
        """End the trial: a person changed the weights, or stopped it."""
        self.stage = "frozen" if frozen else "idle"

    def resume(self, stage: Literal["gate", "ramp"], solo_share: float) -> None:
        """Continue a trial without evidence, such as one that another service began."""
        self.stage, self._n_pages, self._n_compared = stage, 0, 0
        self._rung = _rung(solo_share)
        self._better, self._worse, self._guard = Bet(), Bet(), Guard(RAMP[self._rung][0])

    def parts(self) -> _Parts:
        """Return the state; `restore` takes it, packed."""
        bets = [bet.sums.tolist() for bet in (self._better, self._worse)]
        return _Parts(
            self.stage, self._rung, self._renewals, self._n_pages, self._n_compared, bets, self._guard.parts()
        )

    def restore(self, packed: bytes) -> None:
        """Continue from packed `parts`. Raises msgspec.DecodeError or ValueError if they are malformed."""
        parts = msgspec.msgpack.decode(packed, type=_Parts)
        self.stage, self._rung, self._renewals = parts.stage, parts.rung, parts.renewals
        self._n_pages, self._n_compared = parts.n_pages, parts.n_compared
        self._better.sums, self._worse.sums = map(np.array, parts.bets)
        self._guard = Guard(RAMP[self._rung][0])
        self._guard.restore(*parts.guard)

    def align(self, solo_share: float) -> None:
        """Continue from the rung that is in force, because the last step to another rung was not carried out."""
        if self.stage == "ramp" and solo_share != self.solo_share:
            self._rung, self._n_pages = _rung(solo_share), 0
            self._guard.ramp(self.solo_share)

    @property
    def evidence(self) -> float:
        """At the gate, the evidence that the candidate is better; 1 at the start and elsewhere."""
        return self._better.value if self.stage == "gate" else 1.0

    @property
    def alarm(self) -> float:
        """On the ramp, the evidence that the publication was a mistake; 0 at the start and elsewhere."""
        return self._guard.value if self.stage == "ramp" else 0.0

    @property
    def may_propose(self) -> bool:
        """Whether a candidate may be tried now: there is no trial, or none that is worth waiting for."""
        if self.stage == "gate":
            return self._n_pages >= self._renewal_pages and self._better.value < PROMISING
        if self.stage == "ramp":
            return not RAMP[self._rung][1] and self._n_compared >= WATCHED
        return self.stage == "idle"

    def _observe_at_gate(self, page: PageOutcome) -> Step | None:
        if page.shown == "both" and page.counted:
            self._better.observe(page.click_preference)
            self._worse.observe(-page.click_preference)
        after = f"after {self._n_compared:,} comparisons"
        if self._n_compared < MIN_COMPARED:
            return None
        if self._better.value >= BETTER:
            return self.publish(f"clicks say that it is better ({after}; evidence {self._better.value:.0f})")
        if self._worse.value >= WORSE:
            self.stage = "idle"
            return Step("given_up", f"clicks say that it is worse ({after}; evidence {self._worse.value:.0f})", 1.0)
        if self._n_pages >= max(PATIENCE, self._renewal_pages):
            self.stage = "idle"
            return Step("given_up", f"clicks say neither that it is better nor that it is worse ({after})", 1.0)
        return None

    def _observe_on_ramp(self, page: PageOutcome) -> Step | None:
        alarm = self._guard.observe(page)
        if alarm is not None:
            self.stage = "frozen"
            return Step("rolled_back" if alarm.trusted else "frozen", alarm.why, 1.0)
        share, n_pages = RAMP[self._rung]
        if n_pages and self._n_pages >= n_pages:
            self._rung, self._n_pages, self._n_compared = self._rung + 1, 0, 0
            self._guard.ramp(self.solo_share)
            last = not RAMP[self._rung][1]
            why = f"no harm in {n_pages:,} searches at {share:.0%}"
            return Step("settled" if last else "ramped", why, self.solo_share)
        return None

    @property
    def _renewal_pages(self) -> float:
        return float(min(RENEW_AFTER * SLOWER**self._renewals, SLOWEST))


def _rung(solo_share: float) -> int:
    return next((rung for rung, (share, _) in enumerate(RAMP) if share >= solo_share), len(RAMP) - 1)
