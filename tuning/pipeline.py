"""From what was learnt to what shoppers see, step by step, and back where it was no good. Pure.

    proposed   a step towards what was learnt, within all limits (`tuning.steps`)
    compared   every search shows both, interleaved, until clicks say that it is better; or it is given up
    published  at first for one search in a hundred alone, then ten, then fifty; the others show it with the version
               before, which is the last good one
    watched    one search in twenty goes on comparing the two, until something else is tried in its place; should
               it turn out that the one before was better (`tuning.guard`), that one is put back

Each decision is a `Step`, which says why in words; whoever runs this makes an event of it.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import numpy as np

from tuning.evalues import Bet
from tuning.guard import Guard, Seen

Stage = Literal["idle", "gate", "ramp", "frozen"]
Kind = Literal["suggested", "proposed", "published", "ramped", "settled", "given_up", "rolled_back", "frozen"]

# A bet that nothing is better has to lose by this: one in twenty of those that are no better is published at most.
BETTER: Final = 20.0
WORSE: Final = 20.0
# Comparisons before which nothing is decided at the gate: a burst of one query is not what shoppers want.
MIN_COMPARED: Final = 100
# Impressions after which a comparison that says neither is given up; and after which it makes way for what was learnt
# meanwhile, unless it is on its way to be published. Each such renewal waits longer than the one before.
PATIENCE: Final = 8000
RENEW_AFTER: Final = 1000
SLOWER: Final = 1.5
SLOWEST: Final = 100_000
ON_ITS_WAY: Final = 5.0
# Comparisons for which a version is watched, at least, before something else may be tried in its place.
WATCHED: Final = 100
# (share of searches that the new version has for itself, for so many impressions).
RAMP: Final = ((0.01, 500), (0.1, 500), (0.5, 1000), (0.95, 0))


class Step(msgspec.Struct, frozen=True):
    """One decision. alone: the share of searches that one version has for itself from now on."""

    kind: Kind
    why: str
    alone: float


class _Parts(msgspec.Struct, array_like=True):
    stage: Stage
    rung: int
    renewals: int
    n: int
    n_compared: int
    bets: list[list[float]]
    guard: tuple[list[list[float]], list[float], list[int]]


class Pipeline:
    """The state of one index. What is compared, and how searches are shown, is the caller's."""

    def __init__(self) -> None:
        self.stage: Stage = "idle"
        self._rung = self._renewals = 0
        self._n = self._n_compared = 0
        self._better, self._worse, self._guard = Bet(), Bet(), Guard(RAMP[0][0])

    @property
    def alone(self) -> float:
        """Share of searches that are not compared."""
        return {"idle": 1.0, "frozen": 1.0, "gate": 0.0}.get(self.stage, RAMP[self._rung][0])

    def propose(self, why: str) -> Step:
        """A candidate is there, in place of the one before. To be called where `may_propose` holds."""
        self._renewals = self._renewals + 1 if self.stage == "gate" else 0
        self.stage = "gate"
        self._n = self._n_compared = 0
        self._better, self._worse = Bet(), Bet()
        return Step("proposed", why, self.alone)

    def publish(self, why: str) -> Step:
        """The candidate is in force from now on, and what was there before is the last good one."""
        self.stage, self._rung, self._renewals = "ramp", 0, 0
        self._n = self._n_compared = 0
        self._guard = Guard(self.alone)
        return Step("published", why, self.alone)

    def take(self, seen: Seen) -> Step | None:
        """One page."""
        if self.stage not in ("gate", "ramp"):
            return None
        self._n += 1
        self._n_compared += seen.shown == "both" and seen.heard
        return self._gated(seen) if self.stage == "gate" else self._ramped(seen)

    def stop(self, *, frozen: bool = False) -> None:
        """Whatever was compared is no question any more: a person changed the weights, or stopped it."""
        self.stage = "frozen" if frozen else "idle"

    def resume(self, stage: Literal["gate", "ramp"], alone: float) -> None:
        """Go on with what was begun elsewhere, or before a restart, without what was known of it."""
        self.stage, self._n, self._n_compared = stage, 0, 0
        self._rung = _rung(alone)
        self._better, self._worse, self._guard = Bet(), Bet(), Guard(RAMP[self._rung][0])

    def parts(self) -> _Parts:
        """What `restore` takes, packed."""
        bets = [one.held.tolist() for one in (self._better, self._worse)]
        return _Parts(self.stage, self._rung, self._renewals, self._n, self._n_compared, bets, self._guard.parts())

    def restore(self, packed: bytes) -> None:
        """Raises msgspec.DecodeError or ValueError where that is none."""
        parts = msgspec.msgpack.decode(packed, type=_Parts)
        self.stage, self._rung, self._renewals = parts.stage, parts.rung, parts.renewals
        self._n, self._n_compared = parts.n, parts.n_compared
        self._better.held, self._worse.held = map(np.array, parts.bets)
        self._guard = Guard(RAMP[self._rung][0])
        self._guard.restore(*parts.guard)

    def align(self, alone: float) -> None:
        """Go on from the rung that is in force, where the last step to another was not taken."""
        if self.stage == "ramp" and alone != self.alone:
            self._rung, self._n = _rung(alone), 0
            self._guard.ramp(self.alone)

    @property
    def evidence(self) -> tuple[float, float]:
        """At the gate, that the candidate is better, from 1; on the ramp, that it was a mistake, from 0."""
        return self._better.value if self.stage == "gate" else 1.0, self._guard.value if self.stage == "ramp" else 0.0

    def _gated(self, seen: Seen) -> Step | None:
        if seen.shown == "both" and seen.heard:
            self._better.take(seen.preferred)
            self._worse.take(-seen.preferred)
        said = f"after {self._n_compared:,} comparisons"
        if self._n_compared < MIN_COMPARED:
            return None
        if self._better.value >= BETTER:
            return self.publish(f"clicks say that it is better ({said}; evidence {self._better.value:.0f})")
        if self._worse.value >= WORSE:
            self.stage = "idle"
            return Step("given_up", f"clicks say that it is worse ({said}; evidence {self._worse.value:.0f})", 1.0)
        if self._n >= max(PATIENCE, self._patience):
            self.stage = "idle"
            return Step("given_up", f"clicks say neither that it is better nor that it is worse ({said})", 1.0)
        return None

    def _ramped(self, seen: Seen) -> Step | None:
        alarm = self._guard.take(seen)
        if alarm is not None:
            self.stage = "frozen"
            return Step("rolled_back" if alarm.trusted else "frozen", alarm.why, 1.0)
        share, n = RAMP[self._rung]
        if n and self._n >= n:
            self._rung, self._n, self._n_compared = self._rung + 1, 0, 0
            self._guard.ramp(self.alone)
            last = not RAMP[self._rung][1]
            why = f"no harm in {n:,} searches at {share:.0%}"
            return Step("settled" if last else "ramped", why, self.alone)
        return None

    @property
    def _patience(self) -> float:
        return float(min(RENEW_AFTER * SLOWER**self._renewals, SLOWEST))

    @property
    def may_propose(self) -> bool:
        """Whether a candidate may be there now: nothing is compared, or nothing that is worth waiting for."""
        if self.stage == "gate":
            return self._n >= self._patience and self._better.value < ON_ITS_WAY
        if self.stage == "ramp":
            return not RAMP[self._rung][1] and self._n_compared >= WATCHED
        return self.stage == "idle"


def _rung(alone: float) -> int:
    return next((at for at, (share, _) in enumerate(RAMP) if share >= alone), len(RAMP) - 1)
