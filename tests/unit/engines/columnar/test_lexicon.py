"""The lexicon: words and their terms, similar words and completions, for live documents only."""

from __future__ import annotations

import numpy as np

from searchsvc.analysis.query import Alternative, Query, QueryTerm
from searchsvc.engines.columnar.lexicon import UNSORTED_MIN, Lexicon
from searchsvc.engines.columnar.lexicon_view import IndexedAlternative, LexiconView
from searchsvc.engines.columnar.word_keys import beginning, signature


def view(lexicon: Lexicon, counts: dict[str, int] | None = None) -> LexiconView:
    """Return a view in which each word is in as many documents as its term, one if `counts` does not say."""
    lexicon.commit()
    frequencies = np.ones((1, lexicon.n_terms), np.int32)
    for word, count in (counts or {}).items():
        number = lexicon.words.number(word)
        assert number is not None
        frequencies[0, lexicon.term_of_word(number)] = count
    live = np.array([(counts or {}).get(word, 1) > 0 for word in lexicon.words], np.bool_)
    return lexicon.view(frequencies, live)


def lexicon_of(*words: str) -> Lexicon:
    lexicon = Lexicon()
    for word in words:
        lexicon.add(word)
    return lexicon


def test_words_of_one_stem_are_one_term_whichever_comes_first() -> None:
    for words in (("shoe", "shoes"), ("shoes", "shoe")):
        lexicon = lexicon_of(*words, "hat")
        lexicon_view = view(lexicon)
        term = lexicon_view.term("shoe")
        assert term is not None
        assert [lexicon.words[number] for number in lexicon_view.word_numbers(term)] == list(words)
        assert lexicon.n_terms == 2
        assert lexicon_view.term("shoes") is None


def test_a_view_does_not_see_later_words() -> None:
    lexicon = lexicon_of("red")
    before = view(lexicon)
    lexicon.add("green")
    lexicon.add("reds")
    after = view(lexicon)
    assert before.term("green") is None
    assert after.term("green") == 1
    term = before.term("red")
    assert term is not None
    assert len(before.word_numbers(term)) == 1
    assert len(after.word_numbers(term)) == 2


def test_a_reopened_lexicon_is_the_same() -> None:
    words = [f"word{i}s" for i in range(UNSORTED_MIN + 50)] + ["running", "run", "hats"]
    lexicon = lexicon_of(*words)
    before = view(lexicon)
    reopened = Lexicon(lexicon.store())
    after = view(reopened)
    assert reopened.n_terms == lexicon.n_terms
    assert [after.term(stem) for stem in ("run", "hat", "word7s")] == [
        before.term(stem) for stem in ("run", "hat", "word7s")
    ]
    assert after.completions("word10", 20) == before.completions("word10", 20)
    assert reopened.add("new") == len(words)


def test_similar_words_come_nearest_first_then_the_most_frequent() -> None:
    lexicon_view = view(
        lexicon_of("printer", "printed", "pointer", "prints", "sprinter", "gone"), {"printer": 9, "gone": 0}
    )
    similar = lexicon_view.similar("prinetr", 2)
    assert (similar[0].word, similar[0].edits) == ("printer", 1)
    assert all(word.edits <= 2 for word in similar)
    assert lexicon_view.similar("printer", 1)[0].frequency == 9
    assert lexicon_view.similar("gone", 1) == []
    assert view(Lexicon()).similar("printer", 2) == []


def test_completions_are_the_most_frequent_longer_words() -> None:
    words = [f"cartridge{i}" for i in range(30)] + ["cart", "carts", "dog"]
    lexicon_view = view(lexicon_of(*words), {"cartridge7": 5, "cartridge8": 3, "cartridge9": 0})
    assert [word.word for word in lexicon_view.completions("cart", 2)] == ["cartridge7", "cartridge8"]
    assert [word.word for word in lexicon_view.completions("cartridge2", 50)] == [f"cartridge2{i}" for i in range(10)]
    assert "cart" not in [word.word for word in lexicon_view.completions("cart", 100)]
    assert "cartridge9" not in [word.word for word in lexicon_view.completions("cart", 100)]


def test_completions_are_the_same_before_and_after_words_are_sorted() -> None:
    words = [f"item{i:05d}" for i in range(UNSORTED_MIN)]
    lexicon = lexicon_of(*words)
    unsorted = view(lexicon).completions("item000", 100)
    lexicon.add("item00000x")
    later = view(lexicon).completions("item000", 101)
    assert [word.word for word in unsorted] == words[:100]
    assert [word.word for word in later] == sorted([*words[:100], "item00000x"])


def test_alternatives_are_those_that_the_index_has_in_the_order_of_the_terms() -> None:
    lexicon_view = view(lexicon_of("red", "shoe", "boot"))
    boot, unknown = Alternative("boot", "boot", 0.9, "synonym"), Alternative("clog", "clog", 0.9, "synonym")
    shoe, red = Alternative("shoe", "shoes", 1.0, "exact"), Alternative("red", "red", 1.0, "exact")
    query = Query("shoes red", ("shoes", "red"), (QueryTerm("shoes", (shoe, unknown, boot)), QueryTerm("red", (red,))))
    terms = {stem: lexicon_view.term(stem) for stem in ("red", "shoe", "boot")}
    assert lexicon_view.alternatives(query) == [
        IndexedAlternative(0, terms["shoe"] or 0, 1.0),
        IndexedAlternative(0, terms["boot"] or 0, 0.9),
        IndexedAlternative(1, terms["red"] or 0, 1.0),
    ]


def test_beginnings_order_as_words_do() -> None:
    words = sorted(["a", "ab", "abcdefgh", "abcdefghz", "b", "ä", "日本"], key=str.encode)
    keys = [beginning(word) for word in words]
    assert keys == sorted(keys)
    assert beginning("ab") <= beginning("abz") <= beginning("ab", last=True)
    assert beginning("ac") > beginning("ab", last=True)


def test_signatures_of_words_one_edit_apart_differ_in_two_bits_at_most() -> None:
    for word in ("printer", "aabbcc", "x"):
        for i in range(len(word)):
            deleted, replaced = word[:i] + word[i + 1 :], word[:i] + "q" + word[i + 1 :]
            for edited in (deleted, replaced):
                assert (signature(word) ^ signature(edited)).bit_count() <= 2
    assert (signature("abc") ^ signature("xyz")).bit_count() == 6
