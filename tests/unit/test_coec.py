"""What shoppers do with single documents."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gamma  # type: ignore[import-untyped]

from tuning.learners.behavior import HALF_LIFE_S, MIN_USERS, N_BUCKETS, BehaviorStatistics
from tuning.learners.coec import Coec, UserQuery

NOW_S = 1_800_000_000.0
PAGE = [f"d{i}" for i in range(10)]


def shop(coec: Coec, n: int, liked: dict[str, float], *, users: int = 1000, seed: int = 0) -> None:
    """n pages in changing orders; clicks by rank, times how each is liked."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        page = [PAGE[at] for at in rng.permutation(len(PAGE))]
        coec.observe_ranking(page, 1, 1 + i % users, NOW_S + i)
        for rank, document_id in enumerate(page, start=1):
            if rng.random() < liked.get(document_id, 1.0) * 0.3 / rank:
                coec.observe_value(document_id, rank, 1.0, 1 + i % users, NOW_S + i)


def test_what_is_liked_is_promoted_and_what_is_not_is_demoted_and_the_others_are_left() -> None:
    coec = Coec()
    shop(coec, 3000, {"d0": 2.0, "d1": 0.3})
    factors = {name: one.factor(1.5) for name, one in coec.documents.subjects.items()}
    assert factors["d0"] > 1.2
    assert factors["d1"] < 0.8
    assert all(0.85 < factors[name] < 1.15 for name in PAGE[2:])


def test_who_stands_on_top_is_not_liked_better_for_it() -> None:
    coec, rng = Coec(), np.random.default_rng(1)
    for i in range(4000):
        # Two catalogues of pages: each has its own first.
        page = [f"{'ab'[i % 2]}{at}" for at in range(10)]
        coec.observe_ranking(page, 1, 1 + i, NOW_S)
        for rank, document_id in enumerate(page, start=1):
            if rng.random() < 0.3 / rank:
                coec.observe_value(document_id, rank, 1.0, 1 + i, NOW_S)
    assert all(0.8 < one.factor(2.0) < 1.25 for one in coec.documents.subjects.values())


@pytest.mark.parametrize("users", [1, MIN_USERS - 1])
def test_a_few_users_move_nothing(users: int) -> None:
    coec = Coec()
    shop(coec, 2000, {"d0": 3.0}, users=users)
    assert {one.factor(1.5) for one in coec.documents.subjects.values()} == {1.0}


def test_what_was_liked_once_is_forgotten() -> None:
    coec = Coec()
    shop(coec, 2000, {"d0": 3.0})
    liked = coec.documents.subjects["d0"]
    before = liked.bounds()
    liked.decay(NOW_S + 2000 + 12 * HALF_LIFE_S)
    assert before[0] > 1.3
    assert liked.bounds()[0] < 1.0 < liked.bounds()[1]
    clicks = liked.clicks
    liked.decay(NOW_S)
    assert liked.clicks == clicks, "time does not go back"


def test_a_late_event_counts_what_it_is_worth_by_now() -> None:
    coec = Coec()
    coec.observe_ranking(PAGE, 1, 1, NOW_S + HALF_LIFE_S)
    coec.observe_value("d0", 1, 4.0, 1, NOW_S)
    assert coec.documents.subjects["d0"].clicks == pytest.approx(2.0)


@pytest.mark.parametrize(("clicks", "expected"), [(0.0, 0.0), (3.0, 10.0), (40.0, 12.0), (500.0, 480.0)])
def test_the_ends_are_those_of_the_gamma_distribution(clicks: float, expected: float) -> None:
    one = BehaviorStatistics(clicks, expected, buckets=[clicks / N_BUCKETS] * N_BUCKETS)
    lower, upper = (gamma.ppf(share, clicks + 5.0) / (expected + 5.0) for share in (0.1, 0.9))
    assert one.bounds() == pytest.approx((lower, upper), rel=0.01)


def test_what_is_known_can_be_put_away_and_taken_up() -> None:
    coec, again = Coec(b"secret"), Coec(b"secret")
    shop(coec, 200, {"d0": 2.0})
    coec.register("d0", ["brand=Norvik"])
    coec.observe_ranking(PAGE, 1, 7, NOW_S, UserQuery("lamp", 1))
    coec.observe_value("d0", 1, 1.0, 7, NOW_S, UserQuery("lamp", 1))
    again.restore(dict(coec.parts()))
    assert again.rate(1) == coec.rate(1)
    for name in ("documents", "families", "queries", "pairs"):
        held = getattr(coec, name).subjects
        assert held
        assert getattr(again, name).subjects == held


def asked(coec: Coec, n: int, liked: dict[str, float], query: str, *, seed: int = 0, first_user: int = 0) -> None:
    """n pages for a query, of different users; clicks by rank, times how each is liked there."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        page = [PAGE[at] for at in rng.permutation(len(PAGE))]
        user = first_user + i
        coec.observe_ranking(page, 1, user, NOW_S + i, UserQuery(query, user))
        for rank, document_id in enumerate(page, start=1):
            if rng.random() < min(liked.get(document_id, 1.0) * 0.3 / rank, 1.0):
                coec.observe_value(document_id, rank, 1.0, user, NOW_S + i, UserQuery(query, user))


def test_what_is_liked_for_one_query_alone_is_known_of_that_query() -> None:
    coec = Coec()
    asked(coec, 1000, {"d0": 3.0, "d1": 0.3}, "lamp")
    asked(coec, 1000, {"d0": 0.3, "d1": 3.0}, "shoe", seed=1, first_user=5000)
    for query, liked, other in (("lamp", "d0", "d1"), ("shoe", "d1", "d0")):
        for document_id, least, most in ((liked, 1.3, 2.0), (other, 0.5, 0.8)):
            pair, prior = coec.pair(query, document_id, NOW_S + 1000)
            assert least <= pair.factor(2.0, prior) <= most
    elsewhere, prior = coec.pair("sofa", "d0", NOW_S)
    assert (elsewhere.factor(2.0, prior), elsewhere.mean(prior)) == (1.0, prior)


def test_a_query_on_which_everybody_clicks_lifts_none_of_its_documents() -> None:
    coec = Coec()
    asked(coec, 1500, {}, "shoe", seed=1, first_user=5000)
    asked(coec, 1500, dict.fromkeys(PAGE, 3.0), "lamp")
    factors = []
    for document_id in PAGE:
        pair, _ = coec.pair("lamp", document_id, NOW_S + 1500)
        factors.append(pair.factor(2.0))
    assert all(0.8 < one < 1.25 for one in factors)


def test_a_new_document_begins_as_its_families_do() -> None:
    coec = Coec()
    for name in PAGE:
        coec.register(name, ["brand=Norvik"] if name in PAGE[:3] else ["brand=Marisol", "category=shoes"])
    shop(coec, 2000, dict.fromkeys(PAGE[:3], 2.5))
    assert coec.unseen_documents([*PAGE, "new", "other"]) == ["new", "other"]
    coec.register("new", ["brand=Norvik"])
    coec.register("other", ["brand=Marisol", "category=shoes"])
    believed = {}
    for name in ("new", "other", "nobody"):
        one, prior = coec.document(name, NOW_S + 2000)
        believed[name] = one.mean(prior)
        assert one.factor(2.0, prior) == 1.0, "nobody has seen it"
    assert believed["new"] > 1.5
    assert 0.5 < believed["other"] < 0.9
    assert believed["nobody"] == 1.0


def test_it_takes_less_to_promote_what_comes_from_a_good_family() -> None:
    good, alone = (
        BehaviorStatistics(6.0, 3.0, users=[*range(MIN_USERS)]),
        BehaviorStatistics(6.0, 3.0, users=[*range(MIN_USERS)]),
    )
    assert good.factor(2.0, 1.8) > 1.1
    assert alone.factor(2.0) < good.factor(2.0, 1.8)


def test_a_bucket_of_users_alone_promotes_nothing_however_much_they_buy() -> None:
    few, all_of_them = BehaviorStatistics(users=[*range(MIN_USERS)]), BehaviorStatistics(users=[*range(MIN_USERS)])
    for user in range(40):
        for one in (few, all_of_them):
            one.observe_impression(0.1, user, NOW_S)
        all_of_them.observe_value(0.5, user, NOW_S)
        if user % 8 == 3:
            few.observe_value(10.0, user, NOW_S)
    assert few.clicks > all_of_them.clicks
    assert (few.factor(2.0), few.mean()) == (1.0, 1.0)
    assert all_of_them.factor(2.0) > 1.2
    assert all_of_them.mean() > 1.5


def test_what_is_known_of_a_document_is_not_believed_a_second_time_of_its_family_or_of_a_query() -> None:
    coec = Coec()
    coec.register("d0", ["brand=alone"])
    asked(coec, 400, {"d0": 2.0}, "lamp")
    one, prior = coec.document("d0", NOW_S + 400)
    assert prior == 1.0, "there is nobody else in its family"
    pair, elsewhere = coec.pair("lamp", "d0", NOW_S + 400)
    assert elsewhere == pytest.approx(prior)
    assert pair.mean(elsewhere) == pytest.approx(one.mean(prior))


def test_what_is_held_of_a_query_says_nothing_without_the_secret() -> None:
    one, other = Coec(b"one"), Coec(b"other")
    for coec in (one, other):
        coec.observe_ranking(PAGE, 1, 7, NOW_S, UserQuery("lamp", 11))
    assert not one.pairs.subjects.keys() & other.pairs.subjects.keys()
    assert not one.queries.subjects.keys() & other.queries.subjects.keys()
    assert all(behavior.users == [11] for behavior in one.pairs.subjects.values()), "no user of BEHAVIOR"
    assert b"lamp" not in b"".join(dict(one.parts()).values())


def test_what_was_known_before_it_was_introduced_is_of_its_family_too() -> None:
    early, late = Coec(), Coec()
    for coec in (early, late):
        if coec is early:
            coec.register("d0", ["brand=Norvik"])
        asked(coec, 100, {"d0": 2.0}, "lamp")
        coec.register("d0", ["brand=Norvik"])
    one, other = (coec.families.subjects["brand=Norvik"] for coec in (early, late))
    assert [other.clicks, other.expected] == pytest.approx([one.clicks, one.expected])
    assert other.buckets == pytest.approx(one.buckets)
