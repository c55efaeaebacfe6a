"""Boosts and pins of the rules that fired, applied to the candidates of one search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from searchsvc.engines.protocol import Reading
from searchsvc.rules.directives import Boost, Directives, Effect, clip_factors
from searchsvc.search.answer import BoostShare
from searchsvc.search.candidates import Candidates
from tuning.arrays import FloatArray, ScoreArray
from tuning.features import SIGNAL_PREFIX

PRODUCT_RANGE: Final = (1e-150, 1e150)


class BoostedCandidates(msgspec.Struct, frozen=True):
    """What boosts and buries do to candidates.

    factors: (n,) what each score is multiplied by.
    shares: the boosts of each candidate; empty without any boost.
    effects: what each boost did.
    """

    factors: ScoreArray
    shares: list[list[BoostShare]]
    effects: list[Effect]


def apply_boosts(
    reading: Reading, boosts: Sequence[Boost], candidates: Candidates, names: Sequence[str], features: FloatArray
) -> BoostedCandidates:
    """Work out the rule factor of each candidate.

    names: feature names, in column order.
    features: (n, n_features), of which only the signals are read.
    """
    n, n_ranked = len(candidates.slots), candidates.n_ranked
    product = np.ones(n)
    if not boosts:
        return BoostedCandidates(product, [], [])
    shares, effects = [list[BoostShare]() for _ in range(n)], list[Effect]()
    for boost in boosts:
        signal = SIGNAL_PREFIX + boost.signal
        if boost.signal and signal not in names:
            effects.append(Effect(boost.rule, boost.action, factor=boost.factor, note="there is no such signal"))
            continue
        column = features[:n_ranked, names.index(signal)] if boost.signal else None
        factors = _factors(reading, boost, candidates, column)
        # The product of a hundred factors may be larger than any number.
        product[:n_ranked] = np.clip(product[:n_ranked] * factors, *PRODUCT_RANGE)
        changed = np.flatnonzero(factors != 1.0).tolist()
        for position in changed:
            shares[position].append(BoostShare(boost.rule, float(factors[position])))
        note = "" if changed else "no candidate passes its filter, or has the signal"
        effects.append(Effect(boost.rule, boost.action, factor=boost.factor, n_candidates=len(changed), note=note))
    return BoostedCandidates(clip_factors(product), shares, effects)


def _factors(reading: Reading, boost: Boost, candidates: Candidates, signal: FloatArray | None) -> ScoreArray:
    """Return (n_ranked,) factors of one boost. signal: (n_ranked,) of the candidates; None if it uses none."""
    if signal is None:
        factors = np.full(candidates.n_ranked, boost.factor)
    else:
        factors = 1.0 + (boost.factor - 1.0) * signal.astype(np.float64)
    if boost.filter is not None:
        factors = np.where(reading.passes(candidates.slots[: candidates.n_ranked], boost.filter), factors, 1.0)
    return factors


def pinned_positions(
    reading: Reading, candidates: Candidates, directives: Directives, pinned: Sequence[int]
) -> list[tuple[int, int]]:
    """Return (rank, position) of the pinned documents that were retrieved, by rank.

    pinned: their slots.
    """
    slot_of = {reading.id(slot): slot for slot in pinned}
    position_of = {slot: position for position, slot in enumerate(candidates.slots.tolist())} if pinned else {}
    present = [(pin.rank, slot_of[pin.document_id]) for pin in directives.pins if pin.document_id in slot_of]
    return [(rank, position_of[slot]) for rank, slot in present if slot in position_of]


def pin_effects(directives: Directives, ranks: Mapping[str, int], window: int) -> list[Effect]:
    """Return the effect of each pin.

    ranks: rank of each pinned document that is in the ranking, by id.
    window: ranks up to which the order was worked out. A pin beyond the end of the ranking comes last.
    """
    effects = []
    for pin in directives.pins:
        if pin.document_id not in ranks:
            note = "the document is not there, is hidden or is filtered out"
            effects.append(Effect(pin.rule, "pin", pin.document_id, note=note))
        else:
            note = "" if pin.rank == pin.requested_rank else f"rank {pin.requested_rank} was taken"
            rank = ranks[pin.document_id]
            effects.append(Effect(pin.rule, "pin", pin.document_id, rank if rank <= window else pin.rank, note=note))
    return effects
