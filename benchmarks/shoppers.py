"""Simulated shoppers who click as click models say, and bots among them. Seeded.

Sources: the cascade models and their settings are those of Hofmann et al. 2013 and Oosterhuis & de Rijke 2018; the
position-based models those of Joachims et al. 2017 and, with trust bias, Agarwal et al. 2019.
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

# Probability by grade: for collections of two grades, and of five.
Levels = tuple[tuple[float, ...], tuple[float, ...]]
# Cascade models: (probability of a click, probability of stopping after a click).
CASCADES: Final[Mapping[str, tuple[Levels, Levels]]] = {
    "perfect": (((0.0, 1.0), (0.0, 0.2, 0.4, 0.8, 1.0)), ((0.0, 0.0), (0.0,) * 5)),
    "navigational": (((0.05, 0.95), (0.05, 0.3, 0.5, 0.7, 0.95)), ((0.2, 0.9), (0.2, 0.3, 0.5, 0.7, 0.9))),
    "informational": (((0.4, 0.9), (0.4, 0.6, 0.7, 0.8, 0.9)), ((0.1, 0.5), (0.1, 0.2, 0.3, 0.4, 0.5))),
    "near-random": (((0.4, 0.6), (0.4, 0.45, 0.5, 0.55, 0.6)), ((0.5, 0.5), (0.5,) * 5)),
}
ATTRACTIVENESS: Final[Levels] = ((0.05, 0.35), (0.02, 0.05, 0.12, 0.25, 0.4))
# Position-based models: the share of trust bias that is left; 0 is none.
POSITIONS: Final[Mapping[str, float]] = {"pbm": 0.0, "pbm-trust": 1.0, "pbm-trust-low": 0.3}
MODELS: Final = (*CASCADES, *POSITIONS)
BOTS: Final = ("inverse", "random", "spam")
ATTACKS: Final = (*BOTS, "drift")
ATTACK_FORMAT: Final = "inverse:SHARE, random:SHARE, spam:SHARE or drift:N"


class Attack(msgspec.Struct, frozen=True):
    """Bots, or a change of tastes.

    kind: of `ATTACKS`; '' is none
    share: share of the impressions that are bots'
    at: impression from which tastes are different
    """

    kind: str = ""
    share: float = 0.0
    at: int = 0

    @staticmethod
    def parse(text: str) -> Attack:
        """Parse `inverse:0.1`, `random:0.3`, `spam:0.1` or `drift:10000`; '' is none. Raises InvalidInput."""
        if not text:
            return Attack()
        kind, _, amount = text.partition(":")
        try:
            number = float(amount)
        except ValueError:
            message = f"attack is {text!r}; allowed: {ATTACK_FORMAT}"
            raise InvalidInput(message, field="attack", value=text, limit=ATTACK_FORMAT) from None
        require(kind in ATTACKS, "attack", text, ATTACK_FORMAT)
        if kind == "drift":
            require(number >= 1 and number == int(number), "attack", text, "drift:N with a whole number from 1")
            return Attack(kind, at=int(number))
        require(0.0 < number < 1.0, "attack", text, f"{kind}:SHARE with a share between 0 and 1")
        return Attack(kind, number)


class Shoppers:
    """One crowd.

    model: click model, of `MODELS`
    max_grade: highest grade of the collection; 1 for two grades
    """

    def __init__(self, model: str, attack: Attack, max_grade: int, rng: np.random.Generator) -> None:
        require(model in MODELS, "clicks", model, ", ".join(MODELS))
        self._model, self._attack, self._rng = model, attack, rng
        self._is_graded = max_grade > 1
        self._max_grade = max_grade

    def click(self, grades: IntArray) -> tuple[BoolArray, str]:
        """Simulate the clicks on one page.

        grades: (n,) of the hits, from the first rank on

        Returns (n,) whether each was clicked, and the user.
        """
        if self._attack.kind not in BOTS or self._rng.random() >= self._attack.share:
            return self._honest_clicks(grades), f"u{self._rng.integers(N_USERS)}"
        bot = f"bot{self._rng.integers(N_BOTS)}"
        if self._attack.kind == "inverse":
            return self._honest_clicks(self._max_grade - grades), bot
        if self._attack.kind == "random":
            return self._rng.random(len(grades)) < 0.5, bot
        return grades == 0, bot

    def _honest_clicks(self, grades: IntArray) -> BoolArray:
        draws = self._rng.random((2, len(grades)))
        clicked: BoolArray
        if self._model in CASCADES:
            click, stop = (self._by_grade(levels)[grades] for levels in CASCADES[self._model])
            clicked = draws[0] < click
            stopped = clicked & (draws[1] < stop)
            if stopped.any():
                clicked[int(np.argmax(stopped)) + 1 :] = False
        else:
            clicked = draws[0] < self._position_based(self._by_grade(ATTRACTIVENESS)[grades])
        return clicked

    def _position_based(self, attractiveness: ScoreArray) -> ScoreArray:
        """Return (n,) probabilities of a click, from (n,) attractiveness by rank."""
        position = np.arange(len(attractiveness))
        trust = POSITIONS[self._model]
        probabilities: ScoreArray
        if not trust:
            probabilities = attractiveness / (position + 1)
            return probabilities
        examined = 0.35 / (position + 1) + 0.65 / (1 + 0.05 * position)
        right, wrong = 1 / (1 + 0.005 * position), 0.65 / (position + 1)
        probabilities = trust * examined * ((right - wrong) * attractiveness + wrong)
        return probabilities

    def _by_grade(self, levels: Levels) -> ScoreArray:
        """Return (max_grade + 1,) the probability of each grade, spread over those of the levels."""
        probabilities = np.array(levels[1 if self._is_graded else 0])
        rows = np.linspace(0, len(probabilities) - 1, self._max_grade + 1).round().astype(np.int64)
        chosen: ScoreArray = probabilities[rows]
        return chosen
