"""Matching: which documents match a query, and the best of them, whether or not the match set is pruned."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from searchsvc.analysis.query import RequestedOperator
from searchsvc.analysis.understanding import understand
from searchsvc.engines.embedded import pruning
from searchsvc.engines.embedded.kernels.scoring import GALLOP_RATIO
from searchsvc.engines.embedded.kernels.structs import LengthNorm
from searchsvc.engines.embedded.matching import Matcher
from searchsvc.engines.embedded.pruning import MIN_MATCHES
from searchsvc.engines.protocol import Upsert
from searchsvc.engines.retrieval import FULL_PAGE, Retrieval
from tests.factories import SETTINGS, engine, upsert


def matcher(folder: Path, documents: list[Upsert], text: str) -> Matcher:
    snapshot = engine(folder, documents).snapshot()
    query, views = understand(text, snapshot.lexicon), snapshot.views
    return Matcher(views.postings, views.forward, query, snapshot.query_terms(query), len(views.live))


@pytest.mark.parametrize(
    ("operator", "n_both", "expected"),
    [("auto", FULL_PAGE, "all"), ("auto", FULL_PAGE - 1, "any"), ("any", FULL_PAGE, "any"), ("all", 1, "all")],
)
def test_any_word_is_enough_where_all_words_do_not_fill_a_page(
    tmp_path: Path, operator: RequestedOperator, n_both: int, expected: str
) -> None:
    both = [upsert(f"b{i}", "red shoe") for i in range(n_both)]
    either = [upsert(f"e{i}", "red" if i % 2 else "shoe") for i in range(6)]
    matching = matcher(tmp_path, [*both, *either, upsert("n", "hat")], "red shoe")
    matches = matching.matches(np.ones(n_both + 7, np.bool_), operator)
    assert (matches.operator, matches.n) == (expected, n_both if expected == "all" else n_both + 6)
    assert matches.n == np.count_nonzero(matches.mask)
    assert not matches.mask[-1]


def test_only_allowed_documents_match(tmp_path: Path) -> None:
    matching = matcher(tmp_path, [upsert(str(i), "red") for i in range(5)], "red")
    allowed = np.array([True, False, True, False, False])
    assert matching.matches(allowed, "all").mask.tolist() == allowed.tolist()


def test_a_word_that_no_document_contains_is_left_out(tmp_path: Path) -> None:
    matching = matcher(tmp_path, [upsert(str(i), "red") for i in range(20)], "qqqqqq red")
    assert matching.unmatched_terms == (0,)
    assert matching.matches(np.ones(20, np.bool_), "auto").n == 20
    assert matching.matches(np.ones(20, np.bool_), "all").n == 0


def test_a_query_of_unknown_words_matches_nothing(tmp_path: Path) -> None:
    matching = matcher(tmp_path, [upsert("1", "red")], "qqqqqq")
    matches = matching.matches(np.ones(1, np.bool_), "auto")
    assert (matches.n, matches.operator) == (0, "any")
    assert matching.score(matches, np.ones(2), 10)[0].tolist() == []


def test_a_field_boost_multiplies_what_the_field_scores(tmp_path: Path) -> None:
    matching = matcher(tmp_path, [upsert("1", "red", "hat"), upsert("2", "hat", "red")], "red")
    matches = matching.matches(np.ones(2, np.bool_), "all")
    scores = {boost: matching.score(matches, np.array([boost, 1.0]), None)[1] for boost in (0.0, 1.0, 3.0)}
    assert scores[0.0][0] == 0.0
    assert scores[3.0][0] == pytest.approx(3.0 * scores[1.0][0])
    assert scores[3.0][1] == scores[1.0][1]


def test_the_bound_of_a_slot_is_the_sum_of_the_bounds_of_its_terms() -> None:
    rng = np.random.default_rng(2)
    n = pruning.SAMPLE_SIZE + 100
    bounds = rng.random(32)
    term_bits = rng.integers(0, 2**32, n, dtype=np.uint32)
    matching = rng.random(n) < 0.8
    upper, sample = pruning.slot_bounds(term_bits, matching, bounds)
    set_bits = (term_bits[:, None] >> np.arange(32, dtype=np.uint32)) & 1
    np.testing.assert_allclose(upper[matching], (set_bits @ bounds)[matching], rtol=1e-5)
    assert (upper[~matching] == -1.0).all()
    assert (np.diff(sample) >= 0).all()


def test_the_bound_of_a_term_is_at_least_what_it_scores_in_any_document(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    documents = [upsert(str(i), "red " * rng.integers(1, 9), "red " * rng.integers(0, 9)) for i in range(200)]
    snapshot = engine(tmp_path, documents).snapshot()
    views, query = snapshot.views, understand("red", snapshot.lexicon)
    terms = snapshot.query_terms(query)
    spans = views.postings.spans(terms.statistics.alternatives)
    factors = np.ones((1, 2))
    largest = pruning.term_bounds(spans, factors, views.forward.norm)
    # Saturations are not recomputed when averages fall a little: the bound has to hold all the same.
    shorter = LengthNorm(views.forward.norm.slopes * 0.95, views.forward.norm.constant)
    for norm, bound in ((views.forward.norm, largest), (shorter, pruning.term_bounds(spans, factors, shorter))):
        scores = np.zeros(len(documents))
        for run in spans:
            entries = run.run.arrays.entries
            f, length = entries.frequencies.astype(np.float64), entries.lengths.astype(np.float64)
            np.add.at(scores, entries.slots, f / (f + norm.constant + norm.slopes[entries.fields] * length))
        assert scores.max() <= bound[0] + 1e-12
        assert bound[0] <= 2.0


def test_a_few_matches_in_long_postings_lists_are_scored_in_every_field(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    settings = msgspec.structs.replace(SETTINGS, embedding=None, signals=())
    documents = [
        upsert(str(i), " ".join(["common"] * rng.integers(1, 4) + ["other"] * rng.integers(0, 6)), "common " * n)
        for i, n in enumerate(rng.integers(0, 9, 4 * 20 * GALLOP_RATIO))
    ]
    chosen = rng.choice(len(documents), 20, replace=False)
    documents += [upsert(f"r{i}", f"rare {documents[i].members['title']}", "common " * (i % 7)) for i in chosen]
    snapshot = engine(tmp_path, documents, settings).snapshot()
    reading = snapshot.reading()
    query = understand("rare common", snapshot.lexicon)
    boosts = np.array([3.0, 1.0])
    request = Retrieval(
        query, None, dict(zip(("title", "text"), boosts, strict=True)), np.zeros(0, np.float32), 100, None
    )
    retrieved = reading.retrieve(msgspec.structs.replace(request, operator="all"))
    assert sorted(reading.id(slot) for slot in retrieved.keyword) == sorted(f"r{i}" for i in chosen)
    scores = reading.text_features(retrieved.keyword, query).bm25 @ boosts
    assert (np.diff(scores) < 3e-5).all()
    assert len(set(scores.round(4))) > 10


def test_the_best_of_a_large_match_set_are_the_same_whether_or_not_it_is_pruned(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    words = [f"w{i}x" for i in range(400)]
    # Two words written as one are an alternative to each of the two, if one of them is rarer.
    words[3], words[7] = "w1xw5x", "w2xw9x"
    # A document need not contain a stop word, but scores higher with it.
    words[60] = "for"
    shares = 1.0 / np.arange(1, len(words) + 1) ** 1.3
    drawn = rng.choice(len(words), (MIN_MATCHES + 8000, 6), p=shares / shares.sum())
    settings = msgspec.structs.replace(SETTINGS, embedding=None, signals=())
    documents = [upsert(str(i), " ".join(words[j] for j in row)) for i, row in enumerate(drawn)]
    snapshot = engine(tmp_path, documents, settings).snapshot()
    reading = snapshot.reading()
    assert any(len(term.alternatives) > 1 for term in understand("w1x w5x", snapshot.lexicon).terms)
    for text in (
        "w1x w5x w30x w200x",
        "w1x w5x w2x w9x w0x w399x",
        "w1x w5x zzz",
        "w0x w2x w9x w4x w6x w8x w10x w12x w14x",
        "w1x w5x",
        "w1x for w0x w5x w30x w50x",
    ):
        query = understand(text, snapshot.lexicon)
        request = Retrieval(query, None, {"title": 3.0, "text": 1.0}, np.zeros(0, np.float32), 100, 100, operator="any")
        pruned = reading.retrieve(request)
        assert pruned.total > MIN_MATCHES
        complete = reading.retrieve(msgspec.structs.replace(request, window=None))
        assert len(complete.keyword) == complete.total == pruned.total
        assert pruned.keyword[:100].tolist() == complete.keyword[:100].tolist()
        # Postings and the forward index agree: keyword order is the order of the text features.
        scores = reading.text_features(complete.keyword, query).bm25 @ np.array([3.0, 1.0])
        assert (np.diff(scores) < 3e-5).all()
