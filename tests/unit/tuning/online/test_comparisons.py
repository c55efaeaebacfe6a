"""Which interleaved rankings count."""

from __future__ import annotations

import msgspec
import numpy as np

from events.types import InterleavedRanking
from tuning.online.comparisons import MIN_VOTES, ComparisonVotes

COINS = (True,) * 5
CLICKED = np.array([True, False, False, False, False])


def orders(name: str) -> InterleavedRanking:
    return InterleavedRanking((f"{name}1", f"{name}2"), (f"{name}2", f"{name}1"), COINS)


def test_a_user_has_one_vote_on_a_pair_of_orders() -> None:
    votes = ComparisonVotes()
    assert votes.accepts("anna", orders("a"), CLICKED)
    assert not votes.accepts("anna", orders("a"), CLICKED)
    assert votes.accepts("anna", orders("b"), CLICKED)


def test_one_pair_of_orders_counts_a_few_times_and_then_for_a_small_share() -> None:
    votes = ComparisonVotes()
    accepted = [votes.accepts(f"u{number}", orders("a"), CLICKED) for number in range(50)]
    assert accepted == [True] * MIN_VOTES + [False] * (50 - MIN_VOTES)


def test_a_page_of_which_most_is_clicked_does_not_count() -> None:
    assert not ComparisonVotes().accepts("anna", orders("a"), np.ones(5, np.bool_))


def test_votes_can_be_restored() -> None:
    votes, restored = ComparisonVotes(), ComparisonVotes()
    votes.accepts("anna", orders("a"), CLICKED)
    restored.restore(msgspec.msgpack.encode(votes.parts()))
    assert not restored.accepts("anna", orders("a"), CLICKED)
    assert restored.accepts("", orders("a"), CLICKED), "unknown users may be many"
