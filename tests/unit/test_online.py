"""What one index learns while it runs: pages, documents, candidates, comparisons, and going on after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
import numpy as np
import pytest

from events.edits import SetTrial
from events.errors import InvalidInput
from events.index_control import IndexControl
from events.learning import Ignored, Learning, RampTrial, Trial, check_trial
from events.types import InteractionRecorded, InterleavedRanking, PairSwap, RankingShown
from tests.factories import NOW, SETTINGS
from tuning.clicks.fairpairs import pair_votes
from tuning.clicks.pages import LOG_DELAY, SETTLE
from tuning.curves import curves
from tuning.gate.interleaving import N_COINS, team_draft
from tuning.gate.pipeline import Step
from tuning.gate.steps import rounded_weight
from tuning.learners.behavior import MIN_USERS
from tuning.learners.coec import UserQuery
from tuning.online.behavior import LearntBehavior
from tuning.online.decision import Decision, edits_of
from tuning.online.learner import PROPOSE_EVERY, IndexLearner

NAMES = ("bm25.title", "bm25.text", "cosine")
WEIGHTS = {"bm25.title": 2.0, "bm25.text": 1.0, "cosine": 0.2}
# Shoppers here like the third feature, of which the index knows little.
LIKED = np.array([0.2, 0.2, 2.0])


def index(**changed: object) -> IndexControl:
    made = IndexControl("shop", SETTINGS, WEIGHTS, 1, 1, 1, 1, (), learning=Learning(mode="automatic"))
    return msgspec.structs.replace(made, **changed)


class Shop:
    """Shows what CONTROL says, and clicks what is liked. Every page is closed before the next is shown."""

    def __init__(self, control: IndexControl, seed: int = 0) -> None:
        self.control = control
        self.rng = np.random.default_rng(seed)
        self.now = NOW
        self.n = 0

    def page(self) -> tuple[RankingShown, list[InteractionRecorded]]:
        self.n += 1
        self.now += timedelta(seconds=60)
        features = self.rng.random((14, 3))
        names = [f"d{self.n}-{i}" for i in range(14)]
        scores = curves(NAMES, self.control.weights)
        values = scores.columns(features) @ scores.weights
        order = np.argsort(-values, kind="stable")[:10].tolist()
        trial, compared = self.control.trial, None
        if trial is not None and self.rng.random() >= trial.solo_share:
            by = curves(NAMES, trial.weights)
            other = np.argsort(-(by.columns(features) @ by.weights), kind="stable")[:10].tolist()
            coins = tuple(bool(coin) for coin in self.rng.random(N_COINS) < 0.5)
            first, second = (tuple(names[i] for i in one) for one in (order, other))
            compared = InterleavedRanking(first, second, coins)
            order = team_draft(order, other, coins)
        ranking = RankingShown(
            id=f"q{self.n:012d}",
            timestamp=self.now,
            index="shop",
            query="",
            user=f"u{self.n % 500}",
            document_ids=tuple(names[i] for i in order),
            feature_names=NAMES,
            features=tuple(tuple(features[i].tolist()) for i in order),
            scores=tuple(values[i] for i in order),
            weights_version=1,
            config_version=self.control.config_version,
            applied_seq=1,
            trial=trial.id if trial is not None else "",
            interleaving=compared,
        )
        liked = features[order] @ LIKED > 1.7
        chance = np.where(liked, 0.6, 0.05) / (np.arange(10) + 1.0) ** 0.5
        clicked = np.flatnonzero(self.rng.random(10) < chance).tolist()
        return ranking, [click(ranking, ranking.document_ids[at], self.now) for at in clicked]


def click(ranking: RankingShown, document_id: str, at: datetime, kind: str = "click") -> InteractionRecorded:
    return InteractionRecorded(
        id=f"{ranking.id}-{document_id}-{kind}",
        kind=kind,  # type: ignore[arg-type]
        index="shop",
        document_id=document_id,
        query_id=ranking.id,
        user=ranking.user,
        timestamp=at,
        received_at=at + timedelta(seconds=1),
    )


def taught(learner: IndexLearner, shop: Shop, n: int) -> Iterator[Decision]:
    for _ in range(n):
        ranking, clicks = shop.page()
        learner.observe_ranking(ranking)
        for one in clicks:
            learner.observe_interaction(ranking, one)
        yield from learner.decide(shop.now + SETTLE + LOG_DELAY)


def followed(learner: IndexLearner, shop: Shop, decision: Decision) -> None:
    """CONTROL as it is after a decision."""
    control, kind = shop.control, decision.step.kind
    trial = control.trial
    if kind == "proposed":
        control = index(trial=Trial(decision.trial, "gate", dict(decision.weights), 0.0), weights=control.weights)
    elif kind == "published" and trial is not None:
        before = dict(control.weights)
        control = index(weights=trial.weights, trial=Trial(trial.id, "ramp", before, decision.step.solo_share))
    shop.control = control
    learner.follow(control)


def test_what_shoppers_like_is_proposed_compared_and_published() -> None:
    shop = Shop(index())
    learner = IndexLearner(shop.control, SETTLE)
    told = []
    for _ in range(6):
        for decision in taught(learner, shop, 500):
            told.append(decision.step.kind)
            followed(learner, shop, decision)
        if "published" in told:
            break
    assert told[0] == "proposed"
    assert "published" in told, told
    assert shop.control.weights["cosine"] > WEIGHTS["cosine"]
    assert shop.control.trial is not None
    assert shop.control.trial.weights == WEIGHTS, "the last good ones are still there"


def test_a_learner_goes_on_where_it_was() -> None:
    shops = Shop(index()), Shop(index())
    learners = [IndexLearner(shop.control, SETTLE) for shop in shops]
    for learner, shop in zip(learners, shops, strict=True):
        for decision in taught(learner, shop, PROPOSE_EVERY + 150):
            followed(learner, shop, decision)
    again = IndexLearner(shops[1].control, SETTLE)
    again.restore(learners[1].parts())
    assert again.weights.n_pages == learners[0].weights.n_pages
    told = [
        [(decision.step, decision.trial) for decision in taught(learner, shop, 900)]
        for learner, shop in ((learners[0], shops[0]), (again, shops[1]))
    ]
    assert told[0] == told[1]
    assert np.array_equal(again.weights.model.weights, learners[0].weights.model.weights)


def test_a_suggestion_is_no_trial() -> None:
    shop = Shop(index(learning=Learning(mode="suggest")))
    (decision,) = taught(IndexLearner(shop.control, SETTLE), shop, PROPOSE_EVERY)
    assert (decision.step.kind, decision.trial) == ("suggested", "")
    assert decision.weights["cosine"] > WEIGHTS["cosine"]


def test_what_is_locked_or_frozen_stays() -> None:
    locked = Shop(index(locks=("cosine",)))
    for decision in taught(IndexLearner(locked.control, SETTLE), locked, 2 * PROPOSE_EVERY):
        assert decision.weights["cosine"] == WEIGHTS["cosine"]
        assert "cosine>1/3" not in decision.weights
    frozen = Shop(index(learning=Learning(mode="automatic", frozen="an alarm")))
    assert list(taught(IndexLearner(frozen.control, SETTLE), frozen, 2 * PROPOSE_EVERY)) == []


def test_a_person_who_changes_weights_ends_what_is_compared() -> None:
    shop = Shop(index())
    learner = IndexLearner(shop.control, SETTLE)
    for decision in taught(learner, shop, PROPOSE_EVERY):
        followed(learner, shop, decision)
    stages = [learner.trial.pipeline.stage]
    learner.follow(index(weights={**WEIGHTS, "bm25.title": 3.0}))
    assert [*stages, learner.trial.pipeline.stage] == ["gate", "idle"]


@pytest.mark.parametrize(
    "changed",
    [
        {"pinned_ids": ("d1-0",)},
        {"rule_factors": (2.0,) + (1.0,) * 9},
        {"typing": True},
        {"degraded": ("vector",)},
        {"first_rank": 11},
        {"scores": tuple(range(10))},
        {"feature_names": ("other",)},
    ],
)
def test_a_page_that_something_else_ordered_says_nothing_of_weights(changed: dict[str, object]) -> None:
    shop = Shop(index())
    learner = IndexLearner(shop.control, SETTLE)
    ranking, _ = shop.page()
    learner.observe_ranking(msgspec.structs.replace(ranking, **changed))
    assert list(learner.decide(shop.now + timedelta(hours=1))) == []
    assert learner.weights.n_pages == 0


def test_nothing_is_learnt_from_what_is_ignored() -> None:
    window = Ignored(NOW, NOW + timedelta(days=1), "u1")
    shop = Shop(index(learning=Learning(mode="automatic", ignored=(window,))))
    learner = IndexLearner(shop.control, SETTLE)
    list(taught(learner, shop, 20))
    assert learner.weights.n_pages == 19
    assert not any(name.startswith("d1-") for name in learner.behavior.coec.documents.subjects)


def test_a_document_is_voted_for_once_a_ranking_by_what_counts_most_and_not_after_an_hour() -> None:
    shop = Shop(index())
    learner = IndexLearner(shop.control, SETTLE)
    ranking, _ = shop.page()
    learner.observe_ranking(ranking)
    first, second = ranking.document_ids[:2]
    for kind in ("click", "add_to_cart", "click", "purchase", "view", "feedback"):
        learner.observe_interaction(ranking, click(ranking, first, shop.now, kind))
    learner.observe_interaction(ranking, click(ranking, second, shop.now + timedelta(hours=2)))
    assert learner.behavior.coec.documents.subjects[first].clicks == pytest.approx(10.0, rel=1e-4)
    assert learner.behavior.coec.documents.subjects[second].clicks == 0.0


def test_who_asks_the_same_again_and_again_demotes_nothing() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    ranking, _ = shop.page()
    asked = msgspec.structs.replace(ranking, query_key="lamp")
    for n in range(200):
        learner.observe_ranking(msgspec.structs.replace(asked, id=f"r{n}"))
    seen = learner.behavior.coec.documents.subjects[ranking.document_ids[0]].expected
    learner.observe_ranking(msgspec.structs.replace(asked, id="other", user="another"))
    assert learner.behavior.coec.documents.subjects[ranking.document_ids[0]].expected == pytest.approx(
        2 * seen, rel=0.1
    )


def test_a_factor_is_told_when_it_moves_and_only_then() -> None:
    learner = IndexLearner(index(), SETTLE)
    shop = Shop(index())
    ranking, _ = shop.page()
    wanted = ranking.document_ids[4]
    told = []
    for n in range(2 * MIN_USERS):
        shown = msgspec.structs.replace(ranking, id=f"r{n}", user=f"u{n}")
        learner.observe_ranking(shown)
        learner.observe_interaction(shown, click(shown, wanted, shop.now))
        told.append(next((one.factor for one in learner.learnt_behavior(shop.now) if one.document_id == wanted), None))
    assert told[: MIN_USERS - 1] == [None] * (MIN_USERS - 1)
    assert learner.learnt_behavior(shop.now) == []
    last = [one for one in told if one is not None]
    assert last
    assert max(last) <= 1.2


def test_what_is_liked_where_it_is_asked_for_is_told_of_that_query_alone() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    ranking, _ = shop.page()
    wanted, told = ranking.document_ids[4], dict[tuple[str, str], LearntBehavior]()
    for n in range(200):
        shown = msgspec.structs.replace(ranking, id=f"r{n}", user=f"u{n}")
        asked = UserQuery("sofa" if n % 2 else "lamp", n)
        learner.observe_ranking(shown, asked)
        clicked = wanted if asked.words == "lamp" else ranking.document_ids[5]
        learner.observe_interaction(shown, click(shown, clicked, shop.now), asked)
        told |= {(one.query, one.document_id): one for one in learner.learnt_behavior(shop.now)}
        if n < 2 * MIN_USERS - 2:
            assert not any(query for query, _ in told), "of fewer than twenty users nothing is told"
    assert told["lamp", wanted].factor == 1.2
    assert told["lamp", wanted].log2_lift > 0.3
    assert told["sofa", wanted].factor < 1.0
    assert told["sofa", wanted].log2_lift < -0.3


def test_feedback_speaks_for_a_document_and_against_it() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    ranking, _ = shop.page()
    liked, disliked, clicked = ranking.document_ids[:3]
    learner.observe_ranking(ranking)
    before = learner.behavior.coec.documents.subjects[disliked].expected
    for document_id, grade in ((liked, 0.5), (disliked, -1.0), (clicked, -1.0), (disliked, -0.5)):
        said = click(ranking, document_id, shop.now, "feedback")
        learner.observe_interaction(ranking, click(ranking, clicked, shop.now))
        learner.observe_interaction(ranking, msgspec.structs.replace(said, value=grade))
    assert learner.behavior.coec.documents.subjects[liked].clicks == pytest.approx(2.5, rel=1e-4)
    assert learner.behavior.coec.documents.subjects[disliked].expected == pytest.approx(before + 5.0, rel=1e-4)
    (page,) = learner._pages.close(shop.now + timedelta(hours=1))
    assert page.clicked == {liked}


def test_a_new_document_is_known_by_its_families() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    ranking, _ = shop.page()
    wanted = ranking.document_ids[4]
    assert learner.unseen_documents(ranking) == list(ranking.document_ids)
    learner.register({name: ["brand=Norvik"] if name == wanted else [] for name in ranking.document_ids})
    for n in range(3 * MIN_USERS):
        shown = msgspec.structs.replace(ranking, id=f"r{n}", user=f"u{n}")
        learner.observe_ranking(shown)
        learner.observe_interaction(shown, click(shown, wanted, shop.now))
    learner.learnt_behavior(shop.now)
    first = msgspec.structs.replace(ranking, id="new", user="first", document_ids=("new", *ranking.document_ids[:9]))
    assert learner.unseen_documents(first) == ["new"]
    assert learner.unseen_documents(msgspec.structs.replace(first, user="")) == []
    learner.register({"new": ["brand=Norvik"]})
    learner.observe_ranking(first)
    told = {one.document_id: one for one in learner.learnt_behavior(shop.now)}
    assert told["new"].log2_lift > 0.5
    assert told["new"].factor == 1.0


def test_anonymous_pages_move_no_document() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    ranking, _ = shop.page()
    for n in range(300):
        shown = msgspec.structs.replace(ranking, id=f"r{n}", user="")
        learner.observe_ranking(shown)
        learner.observe_interaction(shown, click(shown, ranking.document_ids[3], shop.now, "purchase"))
    assert learner.learnt_behavior(shop.now) == []
    assert len(list(learner.decide(shop.now + timedelta(hours=1)))) <= 1
    assert learner.weights.n_pages == 300, "of weights they say something all the same"


def test_a_document_that_is_shown_no_more_becomes_like_the_others() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    ranking, _ = shop.page()
    wanted = ranking.document_ids[4]
    for n in range(2 * MIN_USERS):
        shown = msgspec.structs.replace(ranking, id=f"r{n}", user=f"u{n}")
        learner.observe_ranking(shown)
        learner.observe_interaction(shown, click(shown, wanted, shop.now))
    assert {one.document_id: one.factor for one in learner.learnt_behavior(shop.now)}[wanted] > 1.1
    (later,) = (one for one in learner.learnt_behavior(shop.now + timedelta(days=365)) if one.document_id == wanted)
    assert (later.factor, later.log2_lift) == (1.0, 0.0)
    assert learner.behavior.n_boosted == 0


def test_what_is_allowed_is_never_exceeded_by_rounding() -> None:
    for now in np.random.default_rng(1).uniform(-2, 2, 300).tolist():
        for step in (0.1, 0.25, 0.00003):
            after = rounded_weight(now, now + step)
            assert 0.0 <= after - now <= step
            assert -step <= rounded_weight(now, now - step) - now <= 0.0
    assert rounded_weight(0.123456789, 0.123456789) == 0.123456789


def test_a_step_says_which_searches_moved_it_and_what_comes_later_leads_on_from_there() -> None:
    shop = Shop(index())
    learner = IndexLearner(shop.control, SETTLE)
    first = next(taught(learner, shop, PROPOSE_EVERY))
    assert first.step.kind == "proposed"
    moved = {name for name, weight in first.weights.items() if weight != WEIGHTS.get(name, 0.0)}
    assert first.moved_by.keys() <= {*moved, *WEIGHTS}
    assert first.moved_by["cosine"], "that is what shoppers like here"
    assert all(query_id.startswith("q") for ids in first.moved_by.values() for query_id in ids)
    (edit,) = edits_of(shop.control, first)
    assert isinstance(edit, SetTrial)
    assert edit.trial is not None
    assert edit.trial.moved_by == first.moved_by
    for _ in range(20):
        followed(learner, shop, first)
        for decision in taught(learner, shop, 400):
            if decision.step.kind == "published":
                assert learner.moved_by() == {}
                return
            first = decision
    pytest.fail("nothing was published")


def test_what_searches_left_to_chance_say_is_worse_is_shown_to_nobody() -> None:
    told = []
    for hostile in (False, True):
        shop = Shop(index())
        learner = IndexLearner(shop.control, SETTLE)
        # Left to chance, one of both is clicked, and the other never: which, is the question.
        pair = np.array([[0.5, 0.5, 0.1], [0.4, 0.45, 0.9]])
        for n in range(200):
            order = [1, 0] if n % 2 else [0, 1]
            clicked = np.array([(at == 1) != hostile for at in order])
            learner.weights.pair_votes.extend(pair_votes([PairSwap(1, 0.5, bool(n % 2))], pair[order], clicked))
        told.append([one.step for one in taught(learner, shop, PROPOSE_EVERY)])
    friendly, none = told
    assert [step.kind for step in friendly] == ["proposed"]
    assert "clicks are for that in 100%" in friendly[0].why
    assert none == []


def test_what_is_in_force_goes_on_being_watched_where_the_next_one_is_given_up() -> None:
    watched = Trial("good", "ramp", WEIGHTS, 0.95)
    shop = Shop(index(trial=watched, weights=WEIGHTS | {"cosine": 0.4}))
    learner = IndexLearner(shop.control, SETTLE)
    for decision in taught(learner, shop, 20 * PROPOSE_EVERY):
        if decision.step.kind == "proposed":
            break
    (edit,) = edits_of(shop.control, decision)
    assert isinstance(edit, SetTrial)
    assert edit.trial is not None
    assert edit.trial.stage == "gate"
    assert edit.trial.ramp == RampTrial("good", WEIGHTS, 0.95)
    check_trial(edit.trial)
    shop.control = index(trial=edit.trial, weights=shop.control.weights)
    learner.follow(shop.control)
    assert learner.trial.pipeline.stage == "gate"
    (back,) = edits_of(shop.control, Decision(Step("given_up", "worse", 1.0), edit.trial.id, {}, 0))
    assert back == SetTrial(watched)
    before = learner.trial.pipeline.alarm
    shop.control = index(trial=watched, weights=shop.control.weights)
    learner.follow(shop.control)
    assert (learner.trial.pipeline.stage, learner.trial.pipeline.solo_share) == ("ramp", 0.95)
    assert learner.trial.pipeline.alarm >= before
    with pytest.raises(InvalidInput, match=r"trial\.ramp"):
        check_trial(msgspec.structs.replace(watched, ramp=edit.trial.ramp))


def test_pages_of_before_a_rung_do_not_count_as_shown_too_often_on_it() -> None:
    ramp = Trial("good", "ramp", WEIGHTS, 0.01)
    shop = Shop(index(trial=ramp))
    learner = IndexLearner(shop.control, SETTLE)
    steps = [decision.step.kind for decision in taught(learner, shop, 500)]
    assert steps == ["ramped"]
    # It is decided, and not in force yet; then it is, and such pages are still closed. None of them is a step further.
    assert not list(taught(learner, shop, 600))
    learner.follow(index(trial=msgspec.structs.replace(ramp, solo_share=0.1), config_version=2))
    assert learner.trial.pipeline.solo_share == 0.1
    assert not list(taught(learner, shop, 600))
    assert (learner.trial.pipeline.stage, learner.trial.pipeline.solo_share) == ("ramp", 0.1)
    again = IndexLearner(index(trial=msgspec.structs.replace(ramp, solo_share=0.1), config_version=2), SETTLE)
    again.restore(learner.parts())
    fresh = IndexLearner(index(trial=msgspec.structs.replace(ramp, solo_share=0.5), config_version=3), SETTLE)
    fresh.restore(learner.parts())
    for one in (again, fresh):
        assert "frozen" not in [decision.step.kind for decision in taught(one, shop, 300)]
    # Shown as before although it is to be otherwise, they do.
    shop.control = index(trial=msgspec.structs.replace(ramp, solo_share=0.01), config_version=9)
    loud = IndexLearner(index(trial=msgspec.structs.replace(ramp, solo_share=0.95)), SETTLE)
    assert "frozen" in [decision.step.kind for decision in taught(loud, shop, 300)]


def test_what_was_told_before_is_taken_back_where_nothing_is_known_of_it_any_more() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    learner.republish([("", "boosted"), ("lamp", "liked")])
    told = {(one.query, one.document_id): one for one in learner.learnt_behavior(shop.now)}
    assert [(one.factor, one.log2_lift, one.statistics.users) for one in told.values()] == [(1.0, 0.0, [])] * 2
    assert learner.learnt_behavior(shop.now) == []


def test_who_learns_anew_remembers_what_is_known_and_not_all_that_was_asked() -> None:
    learner, shop = IndexLearner(index(), SETTLE, silent=True), Shop(index())
    ranking, _ = shop.page()
    for n in range(100):
        shown = msgspec.structs.replace(ranking, id=f"r{n}", user=f"u{n}")
        learner.observe_ranking(shown, UserQuery(f"lamp {n}" if n >= 30 else "lamp", n))
    assert {words for words, _ in learner.behavior.published._changed} == {"lamp"}
    other = IndexLearner(index(), SETTLE)
    learner.take_over(other)
    assert {words for words, _ in learner.behavior.published._changed} == {"lamp", ""}


def test_an_order_of_many_lines_is_no_machine() -> None:
    learner, shop = IndexLearner(index(), SETTLE), Shop(index())
    for _ in range(12):
        ranking, _ = shop.page()
        ranking = msgspec.structs.replace(ranking, user="buyer")
        learner.observe_ranking(ranking)
        for document_id in ranking.document_ids:
            learner.observe_interaction(ranking, click(ranking, document_id, NOW, "purchase"))
    assert all(learner.behavior.coec.documents.subjects[one].clicks > 9.0 for one in ranking.document_ids)
