"""Showing shoppers two versions of the weights while they are compared.

A known user sees the same each time: the version is drawn by user, the coins by user and query. So nothing changes
between two pages of a ranking. Coins are in the log and must not tell who the user is, so they are drawn from a mark
that only the user's key can make.
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
    """What chance decides for one search of a trial.

    ranked_by: which weights rank it: those in force, those of the trial, or both, interleaved.
    coins: (N_COINS,) if both; see `tuning.gate.interleaving`.
    """

    ranked_by: Literal["in_force", "trial", "both"]
    coins: tuple[bool, ...] = ()


class TrialPart(msgspec.Struct, frozen=True):
    """A search that takes part in a trial."""

    trial: Trial
    draw: Draw

    @property
    def is_holdout(self) -> bool:
        """Whether the trial's weights alone rank the search."""
        return self.draw.ranked_by == "trial"

    @property
    def is_interleaved(self) -> bool:
        """Whether both rankings are shown as one."""
        return self.draw.ranked_by == "both"


def draw_weights(trial: Trial, user_mark: str, query: str) -> Draw:
    """Draw which weights rank a search.

    user_mark: the same for the same user and made with their key; the query's id for an unknown user.
    """
    share = int.from_bytes(_digest(trial.id, user_mark)[:6]) / 2**48
    bits = _digest(trial.id, user_mark, query)[0]
    # A user who sees one version alone keeps seeing it as its share grows. At the gate, no user sees the candidate
    # alone.
    holdout_share = display_shares(trial.solo_share)[1] if trial.stage == "ramp" else 0.0
    if share < trial.solo_share:
        return Draw("in_force")
    if share >= 1.0 - holdout_share:
        return Draw("trial")
    return Draw("both", tuple(bool(bits >> i & 1) for i in range(N_COINS)))


def is_comparable(request: SearchRequest, applied: AppliedRules, segment: str | None) -> bool:
    """Return whether the index's weights alone order a search, so that it can be compared with others."""
    reordered = request.sort or request.distinct or request.like or request.typing or request.experiment
    ruled = applied.directives.pins or applied.directives.boosts
    return not reordered and not ruled and segment is None and bool(applied.query.terms)


def interleave(
    order: Sequence[int], challenger: Sequence[int], coins: Sequence[bool], id_of: Callable[[int], str]
) -> tuple[list[int], InterleavedRanking]:
    """Interleave two orders, and return the result with its record for the log.

    order: positions of candidates by the weights in force, best first.
    challenger: positions of candidates by the trial's weights, best first.
    coins: (N_COINS,) True where the challenger picks first.
    id_of: position -> document id.
    """
    drafted = team_draft(order, challenger, coins)
    in_draft = set(drafted)
    in_force_ids, challenger_ids = (tuple(map(id_of, ranking[:DEPTH])) for ranking in (order, challenger))
    rest = [position for position in order if position not in in_draft]
    return [*drafted, *rest], InterleavedRanking(in_force_ids, challenger_ids, tuple(coins))


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
