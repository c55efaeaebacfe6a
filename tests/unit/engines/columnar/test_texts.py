"""Texts: numbered once, found again in any case, and ordered without decoding them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from searchsvc.engines.columnar.texts import MAX_UNFILTERED_TEXTS, StoredTexts, Texts
from searchsvc.engines.values import normal, value_key

WORDS = ["", "a", "A", "straße", "STRASSE", "ärger", "日本", "\ud800", "a\0b", "long " * 50]


def test_a_text_keeps_its_number() -> None:
    texts = Texts()
    numbers = [texts.add(word) for word in WORDS]
    assert numbers == list(range(len(WORDS)))
    assert [texts.add(word) for word in WORDS] == numbers
    assert [texts[number] for number in numbers] == WORDS
    assert texts[2:4] == WORDS[2:4]
    assert texts.number("b") is None


def test_stored_texts_are_the_same_and_can_be_added_to() -> None:
    texts = Texts()
    for word in WORDS:
        texts.add(word)
    reopened = Texts(texts.store())
    assert reopened[:] == WORDS
    assert reopened.store() is not texts.store()
    assert [reopened.number(word) for word in WORDS] == list(range(len(WORDS)))
    assert reopened.add("new") == len(WORDS)
    assert Texts(reopened.store())[:] == [*WORDS, "new"]
    assert len(Texts(StoredTexts.empty())) == 0


def test_thousands_of_texts_are_found_in_a_table_that_grows() -> None:
    texts = Texts()
    words = [f"w{i * 7919 % 5000}" for i in range(5000)]
    for word in words:
        texts.add(word)
    assert [texts.number(word) for word in words] == list(range(5000))
    assert texts.number("w5000") is None


@pytest.mark.parametrize("text", ["A", "a"])
def test_a_text_is_found_in_any_case(text: str) -> None:
    texts = Texts()
    for word in WORDS:
        texts.add(word)
    assert [texts[number] for number in texts.numbers_ignoring_case(text)] == ["a", "A"]
    assert {texts[number] for number in texts.numbers_ignoring_case("Straße")} == {"straße", "STRASSE"}


@pytest.mark.parametrize("n", [1, 10, 90])
def test_the_first_in_alphabetical_order_are_among_those_selected(n: int) -> None:
    rng = random.Random(4)
    texts = Texts()
    words = sorted({f"SKU-0000-{rng.randrange(900):03d}{'x' * rng.randrange(3)}" for _ in range(600)})
    numbers = np.array([texts.add(word) for word in rng.sample(words, len(words))], np.int64)
    selected = [texts[number] for number in texts.first(numbers, n).tolist()]
    assert sorted(selected)[:n] == words[:n]
    assert len(selected) <= n + MAX_UNFILTERED_TEXTS


@pytest.mark.parametrize("letters", ["aAbB", "éÉèE\u0301z", "жЖшШ", "sßSẞﬁFİı", "hH\u0331ẖx", "\U00010400\U00010428"])
def test_the_first_are_those_of_the_order_without_case(letters: str) -> None:
    rng = random.Random(5)
    words = {normal("".join(rng.choices(letters, k=rng.randrange(9)))) for _ in range(2000)}
    by_key = {value_key(word): word for word in sorted(words)}
    texts = Texts()
    numbers = np.array([texts.add(word) for word in rng.sample(sorted(by_key.values()), len(by_key))], np.int64)
    selected = [texts[number] for number in texts.first(numbers, 30).tolist()]
    assert sorted(map(value_key, selected))[:30] == sorted(by_key)[:30]
