"""The words of the index that one word of a query may stand for."""

from __future__ import annotations

import pytest

from benchmarks.oracle import OracleLexicon
from searchsvc.analysis.alternatives import (
    MAX_CORRECTIONS,
    PREFIX_WEIGHT,
    TYPO_WEIGHTS,
    Tolerance,
    alternatives_of,
    more_frequent,
)
from searchsvc.analysis.stemming import stem


def lexicon(**counts: int) -> OracleLexicon:
    return OracleLexicon(set(counts), {stem(word): count for word, count in counts.items()})


def weights(
    word: str, words: OracleLexicon, *, is_last: bool = False, typing: bool = False, typos: bool = True
) -> dict[str, float]:
    alternatives = alternatives_of(
        word, words, is_last=is_last, typing=typing, tolerance=Tolerance() if typos else None
    )
    return {alternative.word: alternative.weight for alternative in alternatives}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("mouse", {"mouse": 1.0}),
        ("moose", {"mouse": TYPO_WEIGHTS[1]}),
        ("televisino", {"television": TYPO_WEIGHTS[1]}),
        ("telvisino", {"television": TYPO_WEIGHTS[2]}),
        ("mo", {}),
        ("mouze7", {}),
    ],
)
def test_longer_words_may_have_more_typing_errors(word: str, expected: dict[str, float]) -> None:
    assert weights(word, lexicon(mouse=9, television=9)) == expected
    assert weights(word, lexicon(mouse=9, television=9), typos=False) == {k: v for k, v in expected.items() if v == 1.0}


@pytest.mark.parametrize(
    ("word", "counts", "expected"),
    [
        ("rigns", {"rins": 1, "rings": 9, "signs": 5}, ["rings", "signs", "rins"]),
        # One letter for two is the likeliest error, however many documents have another word.
        ("poter", {"peter": 815, "poker": 900, "potter": 41, "pooter": 2}, ["potter", "pooter", "poker", "peter"]),
        ("carpett", {"carpets": 90, "carpet": 3}, ["carpet"]),
        ("mose", {"mouse": 3, "moose": 2, "nose": 9}, ["moose", "nose", "mouse"]),
    ],
)
def test_the_likeliest_correction_comes_first(word: str, counts: dict[str, int], expected: list[str]) -> None:
    assert list(weights(word, lexicon(**counts))) == expected


def test_a_word_is_corrected_to_another_inflection_of_the_word_meant() -> None:
    words = lexicon(laptops=9, tables=5, shirt=3, shirts=3, nurs=2)
    assert weights("labtop", words) == {"laptops": TYPO_WEIGHTS[1]}
    assert weights("tabel", words) == {"tables": TYPO_WEIGHTS[1]}
    # Of one stem, the word that is nearest as such stands for all.
    assert weights("shrit", words) == {"shirt": TYPO_WEIGHTS[1]}
    # The stem of the word is a word with another stem.
    assert weights("nurses", words) == {"nurs": TYPO_WEIGHTS[1]}


def test_a_word_that_a_document_has_is_not_corrected_but_a_frequent_one_is_offered() -> None:
    assert weights("hose", lexicon(hose=1, house=9000)) == {"hose": 1.0}
    assert more_frequent("hose", lexicon(hose=2, house=90), Tolerance()) == "house"
    assert more_frequent("hose", lexicon(hose=2, house=40), Tolerance()) == ""
    assert more_frequent("hose", lexicon(hose=3, house=900), Tolerance()) == ""
    assert more_frequent("nose", lexicon(house=900), Tolerance()) == ""


def test_an_unknown_last_word_is_completed_and_a_known_one_while_the_user_types() -> None:
    words = lexicon(print=20, printer=50)
    assert weights("prin", words, is_last=True) == {"print": PREFIX_WEIGHT, "printer": PREFIX_WEIGHT}
    assert weights("print", words, is_last=True) == {"print": 1.0}
    assert weights("print", words, is_last=True, typing=True) == {"print": 1.0, "printer": PREFIX_WEIGHT}
    assert weights("pr", words, is_last=True) == {}


def test_only_the_nearest_corrections_count_and_not_too_many() -> None:
    words = lexicon(**{f"mous{letter}": 5 for letter in "abcdefgh"}, moose=9, moosey=9)
    corrections = weights("mousy", words)
    assert len(corrections) == MAX_CORRECTIONS
    assert set(corrections.values()) == {TYPO_WEIGHTS[1]}
