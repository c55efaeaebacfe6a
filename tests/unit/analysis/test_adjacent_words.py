"""Words side by side in titles, and the corrections that they make likelier."""

from __future__ import annotations

import pytest

from benchmarks.oracle.lexicon import OracleLexicon
from searchsvc.analysis.adjacent_words import NO_ADJACENT_WORDS, adjacent_words, fits_beside, fits_nowhere
from searchsvc.analysis.alternatives import MAX_COMPLETIONS
from searchsvc.analysis.stemming import stem
from searchsvc.analysis.understanding import understand

COUNTS = {"silent": 2, "hill": 9, "sent": 40, "the": 90, "robot": 3, "rob": 30, "king": 20, "kong": 5, "potter": 3}
COUNTS |= {"harry": 5, "peter": 30, "porter": 9, "skull": 2, "skill": 20, "laptop": 9, "bag": 9}
LEXICON = OracleLexicon(set(COUNTS), {stem(word): n for word, n in COUNTS.items()})
TITLES = [["silent", "hill"], ["the", "robot", "king"], ["kong", "skull"], ["harry", "potter"], ["harry", "porter"], []]


def test_adjacent_words_of_a_title_are_pairs() -> None:
    assert adjacent_words([["a", "b", "c"], ["b"], []], LEXICON).pairs == {("a", "b"), ("b", "c")}


def test_a_word_fits_beside_the_word_before_it_or_after_it() -> None:
    adjacent = adjacent_words(TITLES, LEXICON)
    assert fits_beside("", "hill", adjacent, stem)("silent")
    assert fits_beside("kong", "", adjacent, stem)("skulls")
    assert not fits_beside("hill", "", adjacent, stem)("silent")
    assert fits_beside("", "", adjacent, stem) is fits_beside("kong", "", NO_ADJACENT_WORDS, stem) is fits_nowhere


@pytest.mark.parametrize(
    ("typed", "meant", "without_titles"),
    [
        # The likeliest word by itself is another, which more documents have.
        ("sient hill", "silent hill", "sent hill"),
        ("kong skll", "kong skull", "kong skill"),
        ("robt king", "robot king", "rob king"),
        # Of two that fit, the one that differs by a doubled letter.
        ("harry poter", "harry potter", "harry potter"),
        # No adjacent word tells.
        ("sient", "sent", "sent"),
        ("laptop sient", "laptop sent", "laptop sent"),
    ],
)
def test_adjacent_words_of_the_query_choose_among_corrections(typed: str, meant: str, without_titles: str) -> None:
    assert understand(typed, LEXICON, adjacent=adjacent_words(TITLES, LEXICON)).did_you_mean == meant
    assert understand(typed, LEXICON).did_you_mean == without_titles


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        # Titles have the two words side by side, so this is no misspelling of another.
        ("robotking", ["robot", "king"]),
        # They have not; but it is like no other word.
        ("bagskull", ["bag", "skull"]),
        # Words of two letters are found in any word.
        ("cheap", ["cheap"]),
        ("tvking", ["tvking"]),
        ("tvbag", ["tv", "bag"]),
    ],
)
def test_a_word_is_two_if_titles_have_them_side_by_side(typed: str, words: list[str]) -> None:
    counts = COUNTS | {"robotkin": 50, "ch": 9, "eap": 9, "tv": 9}
    lexicon = OracleLexicon(set(counts), {stem(word): n for word, n in counts.items()})
    query = understand(typed, lexicon, adjacent=adjacent_words([*TITLES, ["tv", "bag"]], lexicon))
    assert [term.word for term in query.terms] == words


def test_a_word_that_documents_have_stays_whatever_fits() -> None:
    query = understand("sent hill", LEXICON, adjacent=adjacent_words(TITLES, LEXICON))
    assert query.did_you_mean is None
    assert [alternative.word for alternative in query.terms[0].alternatives] == ["sent"]


OPEN = [
    ["t", "shirt"],
    ["t", "shirt", "red"],
    ["kung", "fu"],
    ["kung", "fu", "kung", "fu"],
    ["prince", "ss"],
    ["in", "to"],
    ["to", "in", "to"],
    ["c", "cable"],
    ["c", "cable", "red"],
]
CLOSED = {
    "t": 2,
    "shirt": 9,
    "tshirt": 6,
    "kung": 2,
    "fu": 2,
    "prince": 9,
    "ss": 1,
    "princess": 2,
    "into": 1,
    "kungfu": 7,
    "c": 2,
    "cable": 9,
}


@pytest.mark.parametrize(
    ("typed", "counts", "expected"),
    [
        ("tshirt", CLOSED, [["tshirt", "t shirt"]]),
        ("tshirts", CLOSED, [["tshirts", "t shirts"]]),
        # No document writes it as one.
        ("tshirt", {"t": 2, "shirt": 9}, [["t"], ["shirt"]]),
        # Documents write it as one far more often.
        ("kungfu", CLOSED, [["kungfu"]]),
        ("princess", CLOSED, [["princess"]]),
        # Two titles have it, but of stop words.
        ("into", CLOSED, [["into"]]),
        # A slip of cable.
        ("ccable", CLOSED, [["cable"]]),
    ],
)
def test_a_word_that_titles_also_write_as_two_finds_both(
    typed: str, counts: dict[str, int], expected: list[list[str]]
) -> None:
    lexicon = OracleLexicon(set(counts), {stem(word): n for word, n in counts.items()})
    query = understand(typed, lexicon, adjacent=adjacent_words(OPEN, lexicon))
    assert [[alternative.word for alternative in term.alternatives] for term in query.terms] == expected


def test_a_part_of_the_titles_tells_the_same_as_all() -> None:
    lexicon = OracleLexicon({"kungfu"}, {"kungfu": 8})
    titles = [["kung", "fu"]] * 2
    assert "kungfu" not in adjacent_words(titles, lexicon).open_compounds
    assert adjacent_words(titles, lexicon, share_read=0.5).open_compounds == {"kungfu": 4}


def test_of_two_ways_to_write_a_word_as_two_the_one_that_more_titles_have_counts() -> None:
    lexicon = OracleLexicon({"bluetooth"}, {"bluetooth": 3})
    for n_first, n_second, cut in ((3, 2, 4), (2, 3, 8)):
        titles = [["blue", "tooth"]] * n_first + [["bluetoot", "h"]] * n_second
        assert adjacent_words(titles, lexicon).open_compounds == {"bluetooth": cut}


def test_a_foreign_sentence_is_a_name_if_titles_have_it() -> None:
    title = ["la", "vie", "est", "belle", "eau", "de", "parfum"]
    lexicon = OracleLexicon(set(title), dict.fromkeys(map(stem, title), 2))
    query = "la vie est belle eau de parfum"
    assert understand(query, lexicon).is_foreign
    adjacent = adjacent_words([[stem(word) for word in title]], lexicon)
    assert not understand(query, lexicon, adjacent=adjacent).is_foreign
    assert understand("la parfum est eau de vie", lexicon, adjacent=adjacent).is_foreign


@pytest.mark.parametrize(("typed", "completed"), [("watering c", "can"), ("tap c", "common"), ("c", "common")])
def test_an_unfinished_word_becomes_what_titles_have_beside_the_other(typed: str, completed: str) -> None:
    frequent = {f"common{chr(97 + i)}": 50 - i for i in range(MAX_COMPLETIONS)} | {"common": 60}
    counts = frequent | {"watering": 3, "tap": 5, "can": 2}
    lexicon = OracleLexicon(set(counts), {stem(word): n for word, n in counts.items()})
    adjacent = adjacent_words([[stem("watering"), stem("can")]], lexicon)
    last = understand(typed, lexicon, typing=True, adjacent=adjacent).terms[-1]
    words = [alternative.word for alternative in last.alternatives]
    assert words[0] == completed
    assert ("can" in words) == (completed == "can")
