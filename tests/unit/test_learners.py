"""What every learner owes, and that shoppers, bots and feature files are what they are said to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import featurefile, fitting
from benchmarks.shoppers import MODELS, Attack, Shoppers
from benchmarks.simulation import LEARNERS
from events.errors import InvalidInput
from tuning.arrays import ScoreArray
from tuning.curves import pieces
from tuning.learners.browsing import BrowsingLearner
from tuning.learners.learner import Impression, Learner

D = 6
# Production is wrong about the first two features.
PRODUCTION = np.array([1.0, 0.0, 0.5, 0.0, 0.2, 0.0])
TRUE = np.array([0.0, 3.0, 1.0, 0.0, 0.0, 0.0])
Make = Callable[[ScoreArray], Learner]


def taught(make: Make, n: int, *, seed: int = 0, bots: float = 0.0, named: bool = True) -> Learner:
    """A learner that saw n pages of ten of thirty documents, of which what `TRUE` likes is relevant."""
    rng = np.random.default_rng(seed)
    shoppers = Shoppers("informational", Attack("inverse", bots) if bots else Attack(), 1, np.random.default_rng(seed))
    learner = make(PRODUCTION)
    for _ in range(n):
        features = rng.random((30, D))
        grades = (features @ TRUE > 2.6).astype(np.int64)
        order = np.argsort(-learner.order(features, rng), kind="stable")[:10]
        clicked, user = shoppers.click(grades[order])
        learner.learn(Impression(features[order], clicked, user if named else ""))
    return learner


def agreement(learner: Learner) -> float:
    """How well its scores of new documents go with what is liked, from -1 to 1."""
    features = np.random.default_rng(99).random((2000, D))
    return float(np.corrcoef(learner.scores(features), features @ TRUE)[0, 1])


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_begins_as_production_and_is_the_same_every_time(name: str) -> None:
    features = np.random.default_rng(1).random((50, D))
    assert np.array_equal(np.argsort(LEARNERS[name](PRODUCTION).scores(features)), np.argsort(features @ PRODUCTION))
    once, again = (taught(LEARNERS[name], 200).scores(features) for _ in range(2))
    assert np.array_equal(once, again)


@pytest.mark.parametrize(("name", "least"), [("default", 0.93), ("pdgd", 0.9)])
def test_a_learner_comes_to_what_is_liked(name: str, least: float) -> None:
    assert agreement(LEARNERS["off"](PRODUCTION)) < 0.5
    assert agreement(taught(LEARNERS[name], 2000)) > least


def test_where_production_is_the_best_already_shoppers_hardly_pay_for_learning() -> None:
    assert agreement(taught(lambda _: BrowsingLearner(TRUE), 300)) > 0.99


def test_the_best_weights_there_are_are_found_from_labels() -> None:
    rng = np.random.default_rng(5)
    features = [rng.random((20, D)) for _ in range(400)]
    grades = [(one @ TRUE + rng.normal(0.0, 0.2, 20) > 2.6).astype(np.int64) for one in features]
    found = fitting.best_linear(features, grades)
    assert np.corrcoef(np.concatenate(features) @ found, np.concatenate(features) @ TRUE)[0, 1] > 0.99


def test_a_few_who_click_a_lot_do_not_outvote_the_others() -> None:
    assert agreement(taught(BrowsingLearner, 2000, bots=0.4)) > 0.85
    # Were they not known by their names, they would be heard.
    assert agreement(taught(BrowsingLearner, 2000, bots=0.4, named=False)) < 0.7


def test_impressions_without_clicks_or_documents_are_learnt_from_without_harm() -> None:
    learner = BrowsingLearner(PRODUCTION)
    for n in (0, 1, 3, 10, 40):
        learner.learn(Impression(np.random.default_rng(n).random((n, D)), np.zeros(n, np.bool_)))
    for n in (1, 3):
        learner.learn(Impression(np.random.default_rng(n).random((n, D)), np.ones(n, np.bool_)))
    assert np.isfinite(learner.weights).all()
    before = learner.weights
    for n in (10, 40):
        learner.learn(Impression(np.random.default_rng(n).random((n, D)), np.ones(n, np.bool_)))
    assert np.array_equal(learner.weights, before), "nobody means all of a page"


def test_weights_of_nothing_are_a_beginning_too() -> None:
    assert agreement(taught(lambda _: BrowsingLearner(np.zeros(D)), 2000)) > 0.9


def test_curves_bend_at_their_knots_and_nowhere_else() -> None:
    weights = np.array([1.0, -1.0, 4.0])
    values = (pieces(np.array([[0.0], [0.2], [0.25], [0.4], [0.5], [1.0]]), (0.25, 0.5)) @ weights).tolist()
    assert values == pytest.approx([0.0, 0.2, 0.25, 0.25, 0.25, 2.25])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("max_grade", [1, 4])
def test_shoppers_like_what_is_relevant_and_look_at_the_top(model: str, max_grade: int) -> None:
    shoppers = Shoppers(model, Attack(), max_grade, np.random.default_rng(3))
    worst, best = np.zeros(10, np.int64), np.full(10, max_grade)
    bad, good = (np.mean([shoppers.click(grades)[0] for _ in range(4000)], axis=0) for grades in (worst, best))
    assert good[0] > bad[0]
    if model != "perfect":
        assert good[0] > good[5]


@pytest.mark.parametrize(
    ("model", "grade", "expected"),
    [
        ("navigational", 1, 0.95),
        ("informational", 0, 0.4),
        ("near-random", 1, 0.6),
        ("pbm", 1, 0.35),
        ("pbm-trust", 0, 0.67),
        ("pbm-trust-low", 0, 0.2),
    ],
)
def test_the_first_hit_is_clicked_as_often_as_the_model_says(model: str, grade: int, expected: float) -> None:
    shoppers = Shoppers(model, Attack(), 1, np.random.default_rng(4))
    n = sum(bool(shoppers.click(np.array([grade, 0]))[0][0]) for _ in range(20_000))
    assert n / 20_000 == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize(
    ("attack", "clicks_irrelevant"), [("random:0.3", 0.5), ("spam:0.3", 1.0), ("inverse:0.3", 1.0)]
)
def test_bots_are_few_and_make_their_share(attack: str, clicks_irrelevant: float) -> None:
    shoppers = Shoppers("perfect", Attack.of(attack), 1, np.random.default_rng(5))
    seen = [shoppers.click(np.array([0])) for _ in range(5000)]
    bots = [clicked[0] for clicked, user in seen if user.startswith("bot")]
    assert len({user for _, user in seen if user.startswith("bot")}) == 20
    assert len(bots) / 5000 == pytest.approx(0.3, abs=0.03)
    assert np.mean(bots) == pytest.approx(clicks_irrelevant, abs=0.05)


@pytest.mark.parametrize("text", ["spam", "spam:x", "spam:0", "spam:1", "drift:0", "drift:1.5", "flood:0.1"])
def test_an_attack_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Attack.of(text)
    assert refused.value.field == "attack"


def test_letor_folders_are_read_query_by_query_and_scaled_within_each(tmp_path: Path) -> None:
    lines = "2 qid:1 1:10 3:5 # a\n0 qid:1 1:20\n0 qid:2 1:1\n1 qid:3 2:0.5\n"
    for name in ("train", "vali", "test"):
        (tmp_path / f"{name}.txt").write_text(lines)
    held = featurefile.read(tmp_path)
    first, second = held.parts["train"]
    # The second query has nothing that is relevant.
    assert first.features.tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    assert (first.grades.tolist(), second.grades.tolist()) == ([2, 0], [1])
    assert (held.names, held.production, held.max_grade) == (["feature_1", "feature_2", "feature_3"], None, 2)
    for broken in ("one qid:1 1:2", "1 1:2 2:3", "1 qid:1 0:2", "1 qid:1 1:", "1"):
        (tmp_path / "vali.txt").write_text(f"1 qid:1 1:2\n{broken}\n")
        with pytest.raises(InvalidInput, match=r"vali\.txt line 2"):
            featurefile.read(tmp_path)
    (tmp_path / "vali.txt").write_text("1 qid:1 1:nan\n")
    with pytest.raises(InvalidInput, match="not a finite number"):
        featurefile.read(tmp_path)
    (tmp_path / "vali.txt").unlink()
    with pytest.raises(InvalidInput, match="has no file vali"):
        featurefile.read(tmp_path)


def test_a_collection_is_scaled_or_it_is_not(tmp_path: Path) -> None:
    for name in ("train", "vali"):
        (tmp_path / f"{name}.txt").write_text("1 qid:1 1:0.2\n0 qid:1 1:0.4\n")
    (tmp_path / "test.txt").write_text("1 qid:1 1:0.1\n")
    assert featurefile.read(tmp_path).parts["train"][0].features.tolist() == [[0.2], [0.4]]
    (tmp_path / "test.txt").write_text("1 qid:1 1:7\n")
    assert featurefile.read(tmp_path).parts["train"][0].features.tolist() == [[0.0], [1.0]]


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(InvalidInput, match="is not a feature file"):
        featurefile.read(tmp_path / "broken.npz")


def test_a_page_that_the_toss_of_a_coin_foretells_better_is_not_learnt_from() -> None:
    learner = taught(BrowsingLearner, 600, named=False)
    assert isinstance(learner, BrowsingLearner)
    features = np.random.default_rng(5).random((30, D))
    order = np.argsort(-learner.scores(features), kind="stable")
    before = learner.parts()
    # What is best is left, and six of what is worse are clicked, down to the last.
    page = features[np.concatenate([order[:4], order[-6:]])]
    learner.learn(Impression(page, np.arange(10) >= 4, "bot"))
    after = learner.parts()
    assert {name for name in before if before[name] != after[name]} == {"counts"}, "but for that somebody was there"
    learner.learn(Impression(page, np.arange(10) == 0, "somebody"))
    assert learner.parts()["means"] != before["means"]
