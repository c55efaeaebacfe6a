"""Which word of a title names the thing, told from titles and vectors alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.oracle.lexicon import OracleLexicon
from searchsvc.analysis.languages import Languages
from searchsvc.analysis.query import Query
from searchsvc.analysis.stemming import stem
from searchsvc.analysis.title_heads import SearchedThing, find_heads, goes_with, searched_thing
from searchsvc.analysis.understanding import understand
from tests.factories import vector
from tuning.arrays import FloatArray

# (title, kind of thing) of a small catalogue.
CATALOGUE = [
    *[(title, "laptop") for title in ("acme laptop", "laptop black", "laptop silver", "fast laptop", "laptop")],
    *[(title, "sleeve") for title in ("laptop sleeve", "laptop sleeve black", "laptop sleeve red", "red sleeve")],
    *[(title, "sleeve") for title in ("tablet sleeve", "soft sleeve", "sleeve silver")],
    *[(title, "mug") for title in ("black mug", "mug silver", "red mug", "mug black")],
]


def lexicon(*words: str) -> OracleLexicon:
    return OracleLexicon(set(words), {stem(word): 1 for word in words})


def vectors_of(kinds: Sequence[str]) -> FloatArray:
    """Return vectors that are near to each other for things of one kind."""
    centre = {kind: vector(seed) for seed, kind in enumerate(sorted(set(kinds)))}
    rows = [centre[kind] + 0.3 * vector(100 + i) for i, kind in enumerate(kinds)]
    return np.stack([row / np.linalg.norm(row) for row in rows])


def heads_of(catalogue: Sequence[tuple[str, str]]) -> dict[str, set[str]]:
    titles, kinds = [title.split() for title, _ in catalogue], [kind for _, kind in catalogue]
    return {word: set(heads) for word, heads in find_heads(titles, vectors_of(kinds)).items()}


def test_a_head_is_found_and_a_colour_is_none() -> None:
    heads = heads_of(CATALOGUE)
    assert heads["laptop"] == {"sleeve"}
    # A black mug is a mug, but nothing goes with a colour that is searched for.
    assert "black" not in heads.get("mug", set())


def test_the_order_of_documents_changes_nothing() -> None:
    titles, kinds = [title.split() for title, _ in CATALOGUE], [kind for _, kind in CATALOGUE]
    vectors, order = vectors_of(kinds), np.random.default_rng(1).permutation(len(titles))
    assert find_heads([titles[i] for i in order], vectors[order]) == find_heads(titles, vectors)


@pytest.mark.parametrize("titles", [[], [[]], [["laptop"]], [["1", "2"], []]])
def test_a_catalogue_that_tells_nothing_has_no_heads(titles: list[list[str]]) -> None:
    assert find_heads(titles, np.zeros((len(titles), 8), np.float32)) == {}
    assert find_heads(titles, np.zeros((len(titles), 0), np.float32)) == {}


def test_rare_words_tell_nothing() -> None:
    rare = [("desk lamp", "lamp"), ("lamp", "lamp"), ("desk", "desk"), *CATALOGUE]
    assert not {"desk", "lamp"} & heads_of(rare).keys()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("laptop", "laptop"),
        ("red laptops", "laptop"),
        ("laptop 15", "laptop"),
        ("15", "15"),
        ("sleeve for laptop", "sleev"),
        ("for laptop", "laptop"),
    ],
)
def test_a_query_is_after_its_last_word_or_what_stands_before_for(query: str, expected: str) -> None:
    understood = understand(query, lexicon("laptop", "laptops", "red", "15", "sleeve", "for"))
    thing = searched_thing(understood, {}, Languages())
    assert thing is not None
    assert expected in thing.stems


def test_a_query_without_words_is_after_nothing() -> None:
    assert searched_thing(Query(""), {}, Languages()) is None


def test_what_a_query_names_itself_makes_no_accessory() -> None:
    heads = {"laptop": frozenset({"sleev", "case"}), "sleev": frozenset({"laptop", "case"})}
    thing = searched_thing(understand("sleeve laptop", lexicon("laptop", "sleeve", "case")), heads, Languages())
    assert thing is not None
    assert thing.heads == {"case"}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("laptop sleeve", True),
        ("bag for laptop", True),
        ("laptop", False),
        ("laptop black", False),
        ("laptop for school", False),
        ("laptop with laptop sleeve", False),
        ("bag for laptop with laptop black", True),
        ("sleeve", False),
        ("", False),
    ],
)
def test_a_title_goes_with_a_thing_wherever_it_names_it(title: str, expected: bool) -> None:
    thing = SearchedThing(frozenset({"laptop"}), frozenset({"sleeve"}), frozenset({"for"}))
    assert goes_with(title.split(), thing) == expected


@pytest.mark.parametrize(("codes", "word"), [(("de",), "fur"), (("en", "fr"), "pour"), ((), "for")])
def test_each_language_has_its_own_word_for_it(codes: tuple[str, ...], word: str) -> None:
    assert word in Languages(codes).purpose_words
