"""The guard watches a new version of the weights beside the one before it, and raises an alarm. Pure.

    clicks      on interleaved rankings, clicks prefer the version before
    carts       the same for documents put into a cart or bought
    no clicks   more searches end without a click than on the holdout
    latency     more searches are slow than on the holdout
    shares      the versions are not displayed as often as drawn; no comparison can be trusted then

The holdout are the searches ranked by the version before alone. Which version a user sees is drawn by user, so only a
user's first page counts for the shares, and for the two alarms that compare with the holdout. The pages of those two
are weighted by one over the probability of what was shown, less the usual value, so that their expectation is 0 if
neither version is better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import numpy as np

from tuning.gate.evalues import Detector, SampleRatio

# Of the searches that the new version does not rank alone: the share that only sees the version before.
HOLDOUT_SHARE: Final = 0.1
# At most one false alarm in ten million pages that say something.
ALARM: Final = 1e7
# At most one false alarm in two thousand rungs of a ramp.
ALARM_OF_SHARES: Final = 2000.0
SLOW_SHARE: Final = 0.05
SLOW_STEP: Final = 0.1
USUAL_RATE: Final = 0.01

Shown = Literal["new", "old", "both"]
SHOWN: Final = ("new", "old", "both")
REASONS: Final = {
    "clicks": "clicks say that the version before was better",
    "carts": "what goes into carts says that the version before was better",
    "no clicks": "more searches end without a click than with the version before",
    "latency": "more searches are slow than with the version before",
}


class PageOutcome(msgspec.Struct, frozen=True):
    """What a closed page says about two versions.

    shown: which version ranked the page: the new one, the one before, or both interleaved. At the gate the candidate
        is the new one.
    first: whether this is the user's first page that counts.
    counted: whether the page counts as a comparison; False if its user or its pair of orders has used up its votes.
    click_preference: preference of clicks for the new version, in [-1, 1]; 0 if the page is not interleaved.
    cart_preference: the same for documents put into a cart or bought.
    clicked: whether any document was clicked.
    took_ms: duration of the search; 0 if it is unknown.
    """

    shown: Shown
    first: bool = True
    counted: bool = True
    click_preference: float = 0.0
    cart_preference: float = 0.0
    clicked: bool = False
    took_ms: float = 0.0


class Alarm(msgspec.Struct, frozen=True):
    """Why a version must not stay in force.

    trusted: True if the data say that the previous version was better; False if the versions cannot be compared.
    """

    why: str
    trusted: bool = True


def display_shares(solo_share: float) -> tuple[float, float, float]:
    """Return the shares of searches ranked by the new version alone, by the one before alone, and by both.

    solo_share: share of searches that the new version ranks alone.
    """
    rest = 1.0 - solo_share
    # Early on nearly all searches show both: that finds large harm soonest.
    holdout = min(HOLDOUT_SHARE * rest, solo_share)
    return solo_share, holdout, rest - holdout


class Guard:
    """Watches one version.

    solo_share: share of searches that the new version ranks alone; `ramp` sets another.
    """

    def __init__(self, solo_share: float) -> None:
        self._detectors = {name: Detector() for name in REASONS}
        self._usual = {"no clicks": 0.5, "latency": 1.0 - SLOW_SHARE}
        self._slow_ms = 0.0
        self.ramp(solo_share)

    def ramp(self, solo_share: float) -> None:
        """Start a rung with another share. The evidence so far is kept; the counts of displays start again."""
        self._shares = display_shares(solo_share)
        self._ratio = SampleRatio(self._shares)

    def observe(self, page: PageOutcome) -> Alarm | None:
        """Take in one page, and return an alarm if the evidence suffices."""
        if page.first:
            self._ratio.observe(SHOWN.index(page.shown))
            if self._ratio.value >= ALARM_OF_SHARES:
                return self._alarm_of_shares()
        if page.shown == "both" and page.counted:
            self._detectors["clicks"].observe(-page.click_preference)
            self._detectors["carts"].observe(-page.cart_preference)
        elif page.shown != "both" and page.first:
            self._compare(page.shown, "no clicks", float(page.clicked))
            if page.took_ms > 0.0:
                self._compare(page.shown, "latency", float(not self._is_slow(page.took_ms)))
        for name, detector in self._detectors.items():
            if detector.value >= ALARM:
                return Alarm(f"{REASONS[name]} (alarm at {detector.value:.2g})")
        return None

    @property
    def value(self) -> float:
        """The highest alarm value; from 0."""
        return max(detector.value for detector in self._detectors.values())

    def parts(self) -> tuple[list[list[float]], list[float], list[int]]:
        """Return the state that `restore` takes."""
        values = [detector.values.tolist() for detector in self._detectors.values()]
        return values, [*self._usual.values(), self._slow_ms], self._ratio.counts

    def restore(self, values: Sequence[Sequence[float]], usual: Sequence[float], counts: Sequence[int]) -> None:
        """Continue from the state that `parts` returned. Raises ValueError if it has another shape."""
        for detector, bets in zip(self._detectors.values(), values, strict=True):
            detector.values = np.array(bets)
        *means, self._slow_ms = usual
        self._usual = dict(zip(self._usual, means, strict=True))
        self._ratio.restore(counts)

    def _alarm_of_shares(self) -> Alarm:
        counts = ", ".join(f"{n:,} {name}" for name, n in zip(SHOWN, self._ratio.counts, strict=True))
        expected = ", ".join(f"{share:.1%}" for share in self._shares)
        return Alarm(
            f"shoppers were shown {counts}, expected {expected}: the versions cannot be compared", trusted=False
        )

    def _compare(self, shown: Shown, name: str, good: float) -> None:
        new, old, _ = self._shares
        beyond = good - self._usual[name]
        weighted = beyond / old if shown == "old" else -beyond / new
        self._detectors[name].observe(min(new, old) * weighted)
        self._usual[name] += USUAL_RATE * beyond

    def _is_slow(self, took_ms: float) -> bool:
        """Return whether a search is slower than the 95th percentile so far.

        Source: Robbins & Monro 1951, for the running quantile.
        """
        threshold = self._slow_ms or took_ms
        slow = took_ms > threshold
        self._slow_ms = threshold * math.exp(SLOW_STEP * (slow - SLOW_SHARE))
        return slow
