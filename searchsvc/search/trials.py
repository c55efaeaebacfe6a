"""Showing shoppers two versions of the weights while they are compared. Pure.

Who is known sees the same each time: whether one version or both is drawn by user, and who picks first by user and
query. So nothing flickers between two pages of a ranking. Coins stand in the log, so what they are drawn from is kept
under the user's key: they must not tell who somebody is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from events.learning import Trial
from events.types import InterleavedRanking
from searchsvc.search.applied_rules import AppliedRules
from searchsvc.search.request import SearchRequest
from tuning.gate.guard import display_shares
from tuning.gate.interleaving import DEPTH, N_COINS, team_draft


class Draw(msgspec.Struct, frozen=True):
    """What chance says of one search. by: which weights rank it, those in force, those of the trial, or both in one.
    coins: where both do; see `tuning.gate.interleaving`."""

    by: Literal["in_force", "trial", "both"]
    coins: tuple[bool, ...] = ()


def draw_weights(trial: Trial, who: str, query: str) -> Draw:
    """who: the same for the same user, and nobody's without their key; of a user who is not known, the query's id."""
    share = int.from_bytes(_digest(trial.id, who)[:6]) / 2**48
    bits = _digest(trial.id, who, query)[0]
    # Who is shown one version alone goes on so as that is shown more often; a candidate is shown to nobody alone.
    held_back = display_shares(trial.solo_share)[1] if trial.stage == "ramp" else 0.0
    if share < trial.solo_share:
        return Draw("in_force")
    if share >= 1.0 - held_back:
        return Draw("trial")
    return Draw("both", tuple(bool(bits >> i & 1) for i in range(N_COINS)))


def is_comparable(request: SearchRequest, steering: AppliedRules, segment: str | None) -> bool:
    """Whether a search is one that the index's weights order, and nothing else."""
    elsewhere = request.sort or request.distinct or request.like or request.typing or request.experiment
    ruled = steering.directives.pins or steering.directives.boosts
    return not elsewhere and not ruled and segment is None and bool(steering.query.terms)


def interleave(
    order: Sequence[int], other: Sequence[int], coins: Sequence[bool], id_of: Callable[[int], str]
) -> tuple[list[int], InterleavedRanking]:
    """Both orders in one, and what is logged of it. order, other: positions of candidates, best first."""
    first = team_draft(order, other, coins)
    there = set(first)
    one, two = (tuple(map(id_of, ranking[:DEPTH])) for ranking in (order, other))
    return [*first, *(position for position in order if position not in there)], InterleavedRanking(
        one, two, tuple(coins)
    )


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
