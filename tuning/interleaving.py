"""Two rankings in one: shoppers see both, and their clicks say which they would rather have. Pure.

Team drafting: in each round a coin says who picks first, then each picks its best that is not there yet. A click speaks
for the ranking that has the document further up, by how much further, in the logarithm of its rank, less the mean of
that over all documents that the coins could have put on this very place. So nothing is taken for granted of how
shoppers look at a page: where all documents are as relevant, nothing is to be expected of any place, whatever attention
it gets; and where both agree nothing is said.

Sources: Radlinski, Kurup & Joachims, CIKM 2008 (team draft); Radlinski & Craswell, WSDM 2013 (credit for clicks that is
free of bias over what the coins could have shown).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Final, TypeVar

import numpy as np

from tuning.arrays import IntArray, ScoreArray
from tuning.compiled import compiled

T = TypeVar("T", bound=Hashable)

DEPTH: Final = 10
# A coin for each pair of places.
N_COINS: Final = DEPTH // 2
# What all clicks together could say of a page is 1, or less where the two hardly differ: a bet may not lose all it has
# on one page. The measure is the same for every page of two orders, whatever was clicked: what was cut off by clicks
# would prefer whoever is better in many small things.
LEAST_SAID: Final = 1.5


def drafted(first: Sequence[T], second: Sequence[T], coins: Sequence[bool]) -> list[T]:
    """The first ten of both together. coins: (N_COINS,) True where the second picks first."""
    shown: dict[T, None] = {}
    queues = iter(first), iter(second)
    for turn in range(2 * DEPTH):
        # What one of them lacks the other has: rounds may be more than there are coins, and then all is taken.
        which = (turn % 2) ^ int(coins[min(turn // 2, N_COINS - 1)])
        picked = next((one for one in queues[which] if one not in shown), None)
        if picked is not None and len(shown) < DEPTH:
            shown[picked] = None
    return list(shown)


def preference(
    first: Sequence[T], second: Sequence[T], coins: Sequence[bool], clicked: Collection[T], shown: int = DEPTH
) -> float:
    """How much more clicks speak for the second than for the first, in [-1, 1]; 0 is expected where they are as good.

    coins: by which both were drafted. clicked: of what was shown. shown: so many places there were.
    """
    first, second, places = first[:DEPTH], second[:DEPTH], min(shown, DEPTH)
    if not clicked or list(first) == list(second):
        return 0.0
    numbers, a, b = _numbered(first, second)
    which = sum(1 << at for at, coin in enumerate(coins[:N_COINS]) if coin)
    credit, most = _credits(a, b, len(numbers), places, which)
    page = drafted(first, second, coins)[:places]
    said = sum(float(credit[at]) for at, one in enumerate(page) if one in clicked)
    return said / max(most, LEAST_SAID)


def _numbered(first: Sequence[T], second: Sequence[T]) -> tuple[dict[T, int], IntArray, IntArray]:
    """Each document's number, and both rankings as numbers, filled up with -1."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys([*first[:DEPTH], *second[:DEPTH]]))}
    both = np.full((2, DEPTH), -1, np.int64)
    for row, ranking in zip(both, (first, second), strict=True):
        row[: min(len(ranking), DEPTH)] = [numbers[name] for name in ranking[:DEPTH]]
    return numbers, both[0], both[1]


@compiled("i8[1] i8[1] i8 i8 i8")
def _credits(first: IntArray, second: IntArray, n: int, places: int, which: int) -> tuple[ScoreArray, float]:
    """(places,) what a click on each says for the second, and the most that clicks could say for either, however the
    coins fall. n: documents. which: the coins, as bits."""
    further = np.zeros(n)
    for i in range(10):
        # As far up as the place after the last where a ranking does not have it.
        if first[i] >= 0:
            further[first[i]] -= np.log(11.0) - np.log(i + 1.0)
        if second[i] >= 0:
            further[second[i]] += np.log(11.0) - np.log(i + 1.0)
    pages = np.full((32, places), -1, np.int64)
    there, at = np.zeros(n, np.bool_), np.zeros(2, np.int64)
    # As `drafted` does, for each of the ways the coins may fall.
    for bits in range(32):
        there[:] = False
        at[:] = 0
        place = 0
        for turn in range(20):
            side = (turn % 2) ^ ((bits >> min(turn // 2, 4)) & 1)
            ranking = second if side else first
            while at[side] < 10 and ranking[at[side]] >= 0 and there[ranking[at[side]]]:
                at[side] += 1
            if place < places and at[side] < 10 and ranking[at[side]] >= 0:
                there[ranking[at[side]]] = True
                pages[bits, place] = ranking[at[side]]
                place += 1
    usual = np.zeros(places)
    for bits in range(32):
        for place in range(places):
            if pages[bits, place] >= 0:
                usual[place] += further[pages[bits, place]] / 32.0
    most = 0.0
    for bits in range(32):
        above = below = 0.0
        for place in range(places):
            if pages[bits, place] >= 0:
                said = further[pages[bits, place]] - usual[place]
                above += max(said, 0.0)
                below += max(-said, 0.0)
        most = max(most, above, below)
    credit = np.zeros(places)
    for place in range(places):
        if pages[which, place] >= 0:
            credit[place] = further[pages[which, place]] - usual[place]
    return credit, most
