"""Stems, stop words and compounds by language."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.oracle import OracleLexicon
from events.settings import LANGUAGES, IndexSettings, SearchableField
from searchsvc.analysis.analyzer import analyze_query
from searchsvc.analysis.folding import fold
from searchsvc.analysis.languages import ALGORITHMS, DEFAULT, ENGLISH_CODE, Languages
from searchsvc.analysis.understanding import understand
from searchsvc.engines.columnar.lexicon import Lexicon


def stems(code: str, words: str) -> set[str]:
    return {Languages((code,)).stem(fold(word)) for word in words.split()}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("en", "laptop laptops"),
        ("de", "Schuh Schuhe Schuhen"),
        ("de", "Müller Mueller"),
        ("de", "Häuser Haeuser Haus"),
        ("da", "Ålborg Aalborg"),
        ("fr", "chaussure chaussures"),
        ("es", "zapato zapatos"),
        ("ru", "книга книги книгу"),
        ("nl", "schoen schoenen"),
    ],
)
def test_forms_of_a_word_are_one_term_of_its_language(code: str, words: str) -> None:
    assert len(stems(code, words)) == 1


def test_words_that_are_not_transcribed_stay_apart() -> None:
    assert len(stems("de", "Bauer Baur")) == 2
    assert len(stems("de", "Quelle Qulle")) == 2


def test_every_language_has_stems_and_those_with_a_list_have_stop_words() -> None:
    assert {ENGLISH_CODE, *ALGORITHMS} == LANGUAGES
    for code in LANGUAGES:
        languages = Languages((code,))
        assert languages.stem("1211s") == "1211s"
        assert all(word == fold(word) for word in languages.stop_words)
    assert "und" in Languages(("de",)).stop_words
    assert {"und", "the"} <= Languages(("de", "en")).stop_words
    assert DEFAULT.stop_words == Languages(("en",)).stop_words


def test_an_index_without_languages_stems_english() -> None:
    settings = IndexSettings((SearchableField("title"),), "title")
    assert Languages.of_index(settings) == DEFAULT
    assert DEFAULT.stem("shoes") == "shoe"
    assert (DEFAULT.has_compounds, Languages(("en", "nl")).has_compounds) == (False, True)


WORDS = [
    "damenschuhe",
    "schuhe",
    "schuhen",
    "kinderfahrrad",
    "terrassenschrauben",
    "schraubenzieher",
    "schraube",
    "ski",
]


@pytest.mark.parametrize("word", ["schuhe", "fahrrad", "schraube", "terrasse", "kinder", "schraub", "xxxxx"])
def test_a_word_finds_those_that_it_begins_or_ends(word: str) -> None:
    languages = Languages(("de",))
    counts = dict.fromkeys((languages.stem(w) for w in WORDS), 1)
    oracle = OracleLexicon(set(WORDS), counts, languages)
    lexicon = Lexicon(languages=languages)
    for each in WORDS:
        lexicon.add(each)
    lexicon.commit()
    view = lexicon.view(np.ones((1, lexicon.n_terms), np.int32), np.ones(len(WORDS), np.bool_))
    found = [similar.word for similar in view.compounds(word, 10)]
    assert found == [similar.word for similar in oracle.compounds(word, 10)]
    expected = {"schuhe": ["damenschuhe"], "fahrrad": ["kinderfahrrad"], "terrasse": ["terrassenschrauben"]}
    assert found == expected.get(word, found)


def test_compounds_are_alternatives_in_languages_that_have_them() -> None:
    def alternatives(text: str, *codes: str) -> set[str]:
        languages = Languages(codes)
        lexicon = OracleLexicon(set(WORDS), dict.fromkeys(map(languages.stem, WORDS), 1), languages)
        return {a.word for term in understand(text, lexicon).terms for a in term.alternatives}

    assert alternatives("fahrrad", "de") == {"kinderfahrrad"}
    assert alternatives("fahrrad") == set()
    assert alternatives("ski", "de") == {"ski"}


@pytest.mark.parametrize(
    ("query", "is_foreign"),
    [
        ("una historia de amor en la guerra", True),
        ("un film avec un requin dans l'ocean", True),
        ("ich suche einen Drucker fur das Buro", True),
        ("la la land", False),
        ("spider man far from home", False),
        ("no country for old men", False),
        ("gemini man will smith", False),
        ("the man who will die in a war", False),
        ("", False),
    ],
)
def test_stop_words_tell_a_foreign_sentence(query: str, is_foreign: bool) -> None:
    words = analyze_query(query).words
    assert Languages().is_foreign_sentence(words) is is_foreign
    assert not Languages(("en", "es", "fr", "it", "ca", "pt", "de", "ro", "nl", "sv")).is_foreign_sentence(words)
    # Serbian has no list of stop words here, so its sentences cannot be told from others.
    assert not Languages(("sr",)).is_foreign_sentence(words)
