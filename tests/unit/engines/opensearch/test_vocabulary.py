"""The words of an index, counted by the service."""

from __future__ import annotations

from searchsvc.analysis.understanding import understand
from searchsvc.engines.opensearch.vocabulary import Vocabulary

DOCUMENTS = [[{"red", "shoes"}, {"road"}], [{"red", "shoe"}, set()], [{"blue", "sock"}, {"red"}]]


def test_documents_are_counted_by_the_field_that_has_a_word_most_often() -> None:
    vocabulary = Vocabulary(2)
    vocabulary.add(DOCUMENTS)
    lexicon = vocabulary.view().lexicon
    assert [lexicon.count(word) for word in ("red", "shoe", "road", "zzz")] == [2, 2, 1, 0]


def test_a_view_does_not_change_with_later_documents() -> None:
    vocabulary = Vocabulary(2)
    vocabulary.add(DOCUMENTS)
    before = vocabulary.view()
    vocabulary.remove(DOCUMENTS[:1])
    after = vocabulary.view()
    assert (before.lexicon.count("red"), after.lexicon.count("red")) == (2, 1)
    assert (before.n_live, after.n_live) == (3, 2)
    assert after.lexicon.count("road") == 0
    assert after.rarity("road", 1) == 0.0 < before.rarity("road", 1)


def test_a_vocabulary_is_restored_from_the_counts_of_the_node() -> None:
    counted, restored = Vocabulary(2), Vocabulary(2)
    counted.add(DOCUMENTS)
    words = {"red": 3, "shoes": 1, "shoe": 1, "road": 1, "blue": 1, "sock": 1}
    stems = {(0, "red"): 2, (0, "shoe"): 2, (0, "blue"): 1, (0, "sock"): 1, (1, "road"): 1, (1, "red"): 1}
    restored.restore(words, stems, 3)
    before, after = counted.view(), restored.view()
    for word in words:
        assert after.lexicon.count(word) == before.lexicon.count(word)
        assert after.rarity(word, 0) == before.rarity(word, 0)
    query = understand("red shoes", after.lexicon)
    assert after.statistics(query).idf.tolist() == before.statistics(query).idf.tolist()
