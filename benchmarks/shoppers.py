"""Made-up shoppers, who click as click models say, and bots among them. Seeded.

Sources: the cascade models and their settings are those of Hofmann et al. 2013 and Oosterhuis & de Rijke 2018; the
position models those of Joachims et al. 2017 and, with trust, Agarwal et al. 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from events.errors import InvalidInput, require
from tuning.arrays import BoolArray, IntArray, ScoreArray

N_USERS: Final = 3000
N_BOTS: Final = 20

# By grade: of two grades, of five.
Levels = tuple[tuple[float, ...], tuple[float, ...]]
# (of a click, of stopping after one) as they look down.
CASCADES: Final[Mapping[str, tuple[Levels, Levels]]] = {
    "perfect": (((0.0, 1.0), (0.0, 0.2, 0.4, 0.8, 1.0)), ((0.0, 0.0), (0.0,) * 5)),
    "navigational": (((0.05, 0.95), (0.05, 0.3, 0.5, 0.7, 0.95)), ((0.2, 0.9), (0.2, 0.3, 0.5, 0.7, 0.9))),
    "informational": (((0.4, 0.9), (0.4, 0.6, 0.7, 0.8, 0.9)), ((0.1, 0.5), (0.1, 0.2, 0.3, 0.4, 0.5))),
    "near-random": (((0.4, 0.6), (0.4, 0.45, 0.5, 0.55, 0.6)), ((0.5, 0.5), (0.5,) * 5)),
}
ATTRACTIVE: Final[Levels] = ((0.05, 0.35), (0.02, 0.05, 0.12, 0.25, 0.4))
# How much of what trust earns is left.
POSITIONS: Final[Mapping[str, float]] = {"pbm": 0.0, "pbm-trust": 1.0, "pbm-trust-low": 0.3}
MODELS: Final = (*CASCADES, *POSITIONS)
ATTACKS: Final = ("inverse", "random", "spam", "drift")


class Attack(msgspec.Struct, frozen=True):
    """kind: of `ATTACKS`, '' for none. share: of impressions that are bots'. at: the impression from which tastes are
    others."""

    kind: str = ""
    share: float = 0.0
    at: int = 0

    @staticmethod
    def of(text: str) -> Attack:
        """`inverse:0.1`, `random:0.3`, `spam:0.1` or `drift:10000`; '' for none. Raises InvalidInput."""
        if not text:
            return Attack()
        kind, _, amount = text.partition(":")
        limit = "inverse:SHARE, random:SHARE, spam:SHARE or drift:N"
        try:
            number = float(amount)
        except ValueError:
            raise InvalidInput(
                f"attack is {text!r}; allowed: {limit}", field="attack", value=text, limit=limit
            ) from None
        require(kind in ATTACKS, "attack", text, limit)
        if kind == "drift":
            require(number >= 1 and number == int(number), "attack", text, "drift:N with a whole number from 1")
            return Attack(kind, at=int(number))
        require(0.0 < number < 1.0, "attack", text, f"{kind}:SHARE with a share between 0 and 1")
        return Attack(kind, number)


class Shoppers:
    """One crowd. model: of `MODELS`. max_grade: of the collection; 1 for two grades."""

    def __init__(self, model: str, attack: Attack, max_grade: int, rng: np.random.Generator) -> None:
        require(model in MODELS, "clicks", model, ", ".join(MODELS))
        self._model, self._attack, self._rng = model, attack, rng
        self._graded = max_grade > 1
        self._max_grade = max_grade

    def click(self, grades: IntArray) -> tuple[BoolArray, str]:
        """(n,) what somebody clicks of what is shown, and who. grades: (n,) from the first rank on."""
        bots = self._attack.kind in ("inverse", "random", "spam") and self._rng.random() < self._attack.share
        if not bots:
            return self._honest(grades), f"u{self._rng.integers(N_USERS)}"
        bot = f"bot{self._rng.integers(N_BOTS)}"
        if self._attack.kind == "inverse":
            return self._honest(self._max_grade - grades), bot
        if self._attack.kind == "random":
            return self._rng.random(len(grades)) < 0.5, bot
        return grades == 0, bot

    def _honest(self, grades: IntArray) -> BoolArray:
        draws = self._rng.random((2, len(grades)))
        if self._model in CASCADES:
            clicking, stopping = (self._by_grade(one)[grades] for one in CASCADES[self._model])
            clicked: BoolArray = draws[0] < clicking
            stopped = clicked & (draws[1] < stopping)
            if stopped.any():
                clicked[int(np.argmax(stopped)) + 1 :] = False
            return clicked
        found: BoolArray = draws[0] < self._at_ranks(self._by_grade(ATTRACTIVE)[grades])
        return found

    def _at_ranks(self, attractive: ScoreArray) -> ScoreArray:
        rank = np.arange(len(attractive))
        trust = POSITIONS[self._model]
        if not trust:
            seen: ScoreArray = attractive / (rank + 1)
            return seen
        looked = 0.35 / (rank + 1) + 0.65 / (1 + 0.05 * rank)
        right, wrong = 1 / (1 + 0.005 * rank), 0.65 / (rank + 1)
        trusted: ScoreArray = trust * looked * ((right - wrong) * attractive + wrong)
        return trusted

    def _by_grade(self, levels: Levels) -> ScoreArray:
        """(max_grade + 1,)"""
        held = np.array(levels[1 if self._graded else 0])
        at = np.linspace(0, len(held) - 1, self._max_grade + 1).round().astype(np.int64)
        found: ScoreArray = held[at]
        return found
