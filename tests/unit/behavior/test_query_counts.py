"""Query counts: which queries are counted, suggested and dropped."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from events.types import RankingShown
from searchsvc.behavior.keyring import Keyring, seal_ranking
from searchsvc.behavior.query_counts import MIN_USERS, QueryCount, QueryCounts
from tests.factories import NOW, ranking


def ranking_of(query: str, number: int = 0, user: str | None = None) -> RankingShown:
    """Return a ranking of a user of its own, or of `user`."""
    return msgspec.structs.replace(ranking(f"q{number}"), query=query, user=f"u{number}" if user is None else user)


def counts_of(*queries: str) -> QueryCounts:
    counts = QueryCounts()
    for number, query in enumerate(queries):
        counts.add(ranking_of(query, number))
    return counts


def test_queries_are_matched_by_the_start_of_any_word_and_ordered_by_count() -> None:
    counts = counts_of(*["red shoe"] * 8, *["shoe polish"] * 5, *["Shoe Rack"] * 6, *["blue"] * 9, *["shoe"] * 4)
    assert [query.text for query in counts.matching("shop", "sho", 9)] == ["Shoe Rack", "shoe polish", "red shoe"]
    (query,) = counts.matching("shop", "SHOE  r", 9)
    assert (query.key, query.text, query.count) == ("shoe rack", "Shoe Rack", 6)
    accepted = counts.matching("shop", "sho", 1, lambda query: query.key != "shoe rack")
    assert [query.text for query in accepted] == ["shoe polish"]
    for index, prefix in (("shop", ""), ("shop", "!!"), ("other", "sho")):
        assert counts.matching(index, prefix, 9) == []


@pytest.mark.parametrize(
    ("users", "is_suggested"),
    [
        (["anna"] * 9, False),
        ([""] * 9, False),
        (["anna", "ben", "cleo", "dora"] * 3, False),
        (["anna", "ben", "cleo", "dora", ""], True),
        (["anna", "ben", "cleo", "dora", "emil"], True),
    ],
)
def test_a_query_is_suggested_once_five_users_made_it(users: list[str], is_suggested: bool) -> None:
    counts = QueryCounts()
    for number, user in enumerate(users):
        counts.add(ranking_of("red shoe", number, user))
    assert bool(counts.matching("shop", "red", 9)) == is_suggested


def test_a_sealed_query_is_readable_once_enough_users_made_it(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keyring")
    users = [keyring.user(token, NOW) for token in ("anna", "ben", "cleo", "dora", "emil")]
    keyring.flush()
    counts = QueryCounts(keyring)
    for number, user in enumerate(users):
        assert not any("shoe" in msgspec.json.encode(query).decode() for query in counts)
        counts.add(seal_ranking(ranking_of("Red  Shoe", number), user))
    assert [(query.text, query.count) for query in counts.matching("shop", "red", 9)] == [("Red Shoe", 5)]


def test_what_a_user_who_is_erased_has_sought_is_not_counted(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keyring")
    sealed = seal_ranking(ranking_of("red shoe"), keyring.user("anna", NOW))
    damaged = msgspec.structs.replace(
        seal_ranking(ranking_of("red shoe"), keyring.user("ben", NOW)), sealed_query="AAAA"
    )
    keyring.flush()
    keyring.erase("anna", NOW)
    counts = QueryCounts(keyring)
    for unreadable in (sealed, damaged):
        counts.add(unreadable)
    assert not list(counts)


@pytest.mark.parametrize(
    "members",
    [
        {"query": "[e-mail] order"},
        {"query": "anna at example dot com"},
        {"typing": True},
        {"first_rank": 11},
        {"document_ids": ()},
        {"query": ""},
        {"query": "x" * 101},
    ],
)
def test_a_ranking_that_is_no_complete_query_of_a_shopper_is_not_counted(members: dict[str, object]) -> None:
    counts = QueryCounts()
    for number in range(MIN_USERS):
        counts.add(msgspec.structs.replace(ranking_of("red shoe", number), **members))
    assert not list(counts)


def test_what_is_personal_is_never_suggested_also_if_it_was_counted_before() -> None:
    counts = QueryCounts()
    texts = ("anna at example dot com", "annas shoes")
    counts.restore([QueryCount("shop", text, 9, [""] * MIN_USERS, text, text) for text in texts])
    assert [query.text for query in counts.matching("shop", "anna", 5)] == ["annas shoes"]


def test_past_the_size_counts_are_halved_and_rare_queries_dropped() -> None:
    counts = QueryCounts(size=10)
    for number in range(8):
        counts.add(ranking_of("evergreen", number))
    for number in range(10):
        counts.add(ranking_of(f"rare {number}", number))
    assert [(query.key, query.count) for query in counts] == [("evergreen", 4)]


def test_the_queries_of_deleted_indexes_are_forgotten() -> None:
    counts = counts_of(*["red shoe"] * 8)
    counts.drop_others({"shop"})
    assert len(counts.matching("shop", "red", 9)) == 1
    counts.drop_others({"films"})
    assert list(counts) == []
