"""Interleaving: two rankings shown as one, and what clicks on it say about which of the two is better. Pure.

Team draft: in each round a coin says which ranking picks first, then each picks its best document that is not there
yet. The credit of a click is the difference of the logarithms of the document's ranks in the two rankings, less the
mean of that difference over all documents that the coins could have put at this place. So the estimate is unbiased
for any attention that each place gets: if all documents are equally relevant, the expected credit of every place is 0.
If both rankings agree, a click says nothing.

Sources: Radlinski, Kurup & Joachims, CIKM 2008 (team draft); Radlinski & Craswell, WSDM 2013 (unbiased credit for
clicks over what the coins could have shown).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Final, TypeVar

import numpy as np

from tuning.arrays import IntArray, ScoreArray
from tuning.compiled import compiled

T = TypeVar("T", bound=Hashable)

DEPTH: Final = 10
# One coin for each pair of places.
N_COINS: Final = DEPTH // 2
# The credits of a page are divided by the most that its clicks could say, so that a page says at most 1, but by this at
# least, so that a page on which the rankings hardly differ says less. The divisor does not depend on the clicks:
# clipping by clicks would favor the ranking that is better in many small ways.
MIN_CREDIT_SCALE: Final = 1.5


def team_draft(first: Sequence[T], second: Sequence[T], coins: Sequence[bool]) -> list[T]:
    """Return the first ten documents of two interleaved rankings.

    coins: (N_COINS,) True where the second ranking picks first.
    """
    shown: dict[T, None] = {}
    queues = iter(first), iter(second)
    for turn in range(2 * DEPTH):
        # Where one ranking is short there are more rounds than coins: the last coin then serves for the rest.
        side = (turn % 2) ^ int(coins[min(turn // 2, N_COINS - 1)])
        pick = next((document for document in queues[side] if document not in shown), None)
        if pick is not None and len(shown) < DEPTH:
            shown[pick] = None
    return list(shown)


def preference(
    first: Sequence[T], second: Sequence[T], coins: Sequence[bool], clicked: Collection[T], n_shown: int = DEPTH
) -> float:
    """Return how much clicks prefer the second ranking, in [-1, 1]; the expectation is 0 if both are equally good.

    coins: those that interleaved the two.
    clicked: documents of the interleaved ranking that were clicked.
    n_shown: number of places on the page.
    """
    first, second, n_places = first[:DEPTH], second[:DEPTH], min(n_shown, DEPTH)
    if not clicked or list(first) == list(second):
        return 0.0
    numbers, first_numbers, second_numbers = _numbered(first, second)
    coin_bits = sum(1 << i for i, coin in enumerate(coins[:N_COINS]) if coin)
    click_credits, highest = _credits(first_numbers, second_numbers, len(numbers), n_places, coin_bits)
    page = team_draft(first, second, coins)[:n_places]
    total = sum(float(click_credits[place]) for place, document in enumerate(page) if document in clicked)
    return total / max(highest, MIN_CREDIT_SCALE)


def _numbered(first: Sequence[T], second: Sequence[T]) -> tuple[dict[T, int], IntArray, IntArray]:
    """Return a number for each document, and both rankings as (DEPTH,) numbers, padded with -1."""
    numbers = {document: i for i, document in enumerate(dict.fromkeys([*first[:DEPTH], *second[:DEPTH]]))}
    both = np.full((2, DEPTH), -1, np.int64)
    for row, ranking in zip(both, (first, second), strict=True):
        row[: min(len(ranking), DEPTH)] = [numbers[document] for document in ranking[:DEPTH]]
    return numbers, both[0], both[1]


@compiled("i8[1] i8[1] i8 i8 i8")
def _credits(
    first: IntArray, second: IntArray, n_documents: int, n_places: int, coin_bits: int
) -> tuple[ScoreArray, float]:
    """Return (n_places,) the credit of a click at each place for the second ranking, and the largest sum of credits
    that clicks could reach for either ranking under any coins.

    first: (10,) document numbers of the first ranking, -1 past the end.
    second: (10,) document numbers of the second ranking, in the same way.
    coin_bits: the coins that made the page, as bits.
    """
    rank_gain = np.zeros(n_documents)
    for i in range(10):
        # A document that a ranking lacks counts as being at the place after the last.
        if first[i] >= 0:
            rank_gain[first[i]] -= np.log(11.0) - np.log(i + 1.0)
        if second[i] >= 0:
            rank_gain[second[i]] += np.log(11.0) - np.log(i + 1.0)
    pages = np.full((32, n_places), -1, np.int64)
    placed, positions = np.zeros(n_documents, np.bool_), np.zeros(2, np.int64)
    # `team_draft` for each way in which the coins may fall.
    for bits in range(32):
        placed[:] = False
        positions[:] = 0
        place = 0
        for turn in range(20):
            side = (turn % 2) ^ ((bits >> min(turn // 2, 4)) & 1)
            ranking = second if side else first
            while positions[side] < 10 and ranking[positions[side]] >= 0 and placed[ranking[positions[side]]]:
                positions[side] += 1
            if place < n_places and positions[side] < 10 and ranking[positions[side]] >= 0:
                placed[ranking[positions[side]]] = True
                pages[bits, place] = ranking[positions[side]]
                place += 1
    mean_gain = np.zeros(n_places)
    for bits in range(32):
        for place in range(n_places):
            if pages[bits, place] >= 0:
                mean_gain[place] += rank_gain[pages[bits, place]] / 32.0
    highest = 0.0
    for bits in range(32):
        above = below = 0.0
        for place in range(n_places):
            if pages[bits, place] >= 0:
                credit = rank_gain[pages[bits, place]] - mean_gain[place]
                above += max(credit, 0.0)
                below += max(-credit, 0.0)
        highest = max(highest, above, below)
    click_credits = np.zeros(n_places)
    for place in range(n_places):
        if pages[coin_bits, place] >= 0:
            click_credits[place] = rank_gain[pages[coin_bits, place]] - mean_gain[place]
    return click_credits, highest
