"""What is watched while a version of the weights is in force beside the one before it, and when it goes too far. Pure.

    clicks      both shown in one: shoppers would rather have had the version before
    carts       the same of what went into a cart, or was bought
    no clicks   more searches end without a click than where the version before is shown alone
    latency     more searches are slow than there
    shares      shoppers do not see the versions as often as chance was told to show them: then no click is to be
                believed

Of a user the first page counts, where versions are shown alone: who sees which is drawn by user. Such pages are weighed
by one over the chance of what was shown, less what is usual, so that nothing is expected where neither is better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import numpy as np

from tuning.evalues import Detector, SampleRatio

# Of those to whom the new version is not shown alone: so many see the version before alone, for as long as it is known.
HELD_BACK: Final = 0.1
# One false alarm in ten million pages that say something, or fewer.
ALARM: Final = 1e7
# A false alarm in two thousand rungs of a ramp.
ALARM_OF_SHARES: Final = 2000.0
SLOW: Final = 0.05
STEP_OF_SLOW: Final = 0.1

Shown = Literal["new", "old", "both"]
SHOWN: Final = ("new", "old", "both")


class Seen(msgspec.Struct, frozen=True):
    """A page that somebody left. shown: which version, the new one, the one before, or both in one; at the gate, the
    candidate is the new one. first: whether it is the first of its user that counts. heard: whether what was done says
    anything of both. preferred, bought: for the new one over the other, in [-1, 1], by clicks and by what went into a
    cart; 0 where not both were shown. clicked: whether anything was. took_ms: 0 where it is not known."""

    shown: Shown
    first: bool = True
    heard: bool = True
    preferred: float = 0.0
    bought: float = 0.0
    clicked: bool = False
    took_ms: float = 0.0


class Alarm(msgspec.Struct, frozen=True):
    """trusted: whether what was seen says that the version before was better; else it says that nothing of it does."""

    why: str
    trusted: bool = True


def shares(alone: float) -> tuple[float, float, float]:
    """How often the new version is shown, the one before, and both, where the new one is alone so often."""
    rest = 1.0 - alone
    # At first nearly all see both: that tells soonest what is badly wrong.
    held_back = min(HELD_BACK * rest, alone)
    return alone, held_back, rest - held_back


class Guard:
    """alone: the share of searches that the new version has for itself; another begins with `ramp`."""

    def __init__(self, alone: float) -> None:
        self._detectors = {name: Detector() for name in ("clicks", "carts", "no clicks", "latency")}
        self._usual = {"no clicks": 0.5, "latency": 1.0 - SLOW}
        self._slow_ms = 0.0
        self.ramp(alone)

    def ramp(self, alone: float) -> None:
        """From now on the new version is alone so often. What was suspected stays so."""
        self._shares = shares(alone)
        self._ratio = SampleRatio(self._shares)

    def take(self, seen: Seen) -> Alarm | None:
        if seen.first:
            self._ratio.take(SHOWN.index(seen.shown))
            if self._ratio.value >= ALARM_OF_SHARES:
                counts = ", ".join(f"{n:,} {name}" for name, n in zip(SHOWN, self._ratio.counts, strict=True))
                wanted = ", ".join(f"{share:.1%}" for share in self._shares)
                return Alarm(
                    f"shoppers were shown {counts}, which is not {wanted}: nothing they do can be compared", False
                )
        if seen.shown == "both" and seen.heard:
            self._detectors["clicks"].take(-seen.preferred)
            self._detectors["carts"].take(-seen.bought)
        elif seen.shown != "both" and seen.first:
            self._compare(seen.shown, "no clicks", float(seen.clicked))
            if seen.took_ms > 0.0:
                self._compare(seen.shown, "latency", float(not self._is_slow(seen.took_ms)))
        for name, detector in self._detectors.items():
            if detector.value >= ALARM:
                said = {
                    "clicks": "clicks say that the version before was better",
                    "carts": "what goes into carts says that the version before was better",
                    "no clicks": "more searches end without a click than with the version before",
                    "latency": "more searches are slow than with the version before",
                }[name]
                return Alarm(f"{said} (alarm at {detector.value:.2g})")
        return None

    @property
    def value(self) -> float:
        """Of the alarm that is nearest; from 0."""
        return max(one.value for one in self._detectors.values())

    def parts(self) -> tuple[list[list[float]], list[float], list[int]]:
        """What `restore` takes."""
        held = [one.held.tolist() for one in self._detectors.values()]
        return held, [*self._usual.values(), self._slow_ms], self._ratio.counts

    def restore(self, held: Sequence[Sequence[float]], usual: Sequence[float], counts: Sequence[int]) -> None:
        """Raises ValueError where they are no parts of this version."""
        for detector, sums in zip(self._detectors.values(), held, strict=True):
            detector.held = np.array(sums)
        *known, self._slow_ms = usual
        self._usual = dict(zip(self._usual, known, strict=True))
        self._ratio.count(counts)

    def _compare(self, shown: Shown, what: str, good: float) -> None:
        new, old, _ = self._shares
        beyond = good - self._usual[what]
        weighed = beyond / old if shown == "old" else -beyond / new
        self._detectors[what].take(min(new, old) * weighed)
        self._usual[what] += 0.01 * beyond

    def _is_slow(self, took_ms: float) -> bool:
        """Against what one in twenty was beyond so far. Source: Robbins & Monro 1951, for the quantile."""
        before = self._slow_ms or took_ms
        slow = took_ms > before
        self._slow_ms = before * math.exp(STEP_OF_SLOW * (slow - SLOW))
        return slow
