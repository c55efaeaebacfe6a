"""Stems of words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from searchsvc.analysis.stemming import stem


def test_english_endings_share_a_stem_and_model_numbers_have_none() -> None:
    assert stem("shoes") == stem("shoe")
    assert stem("running") == stem("runs")
    assert stem("1211s") == "1211s"
    assert stem("東") == "東"


@pytest.mark.parametrize(
    "words",
    [
        "laptop laptops",
        "battery batteries",
        "movie movies",
        "box boxes",
        "glass glasses",
        "run runs running",
        "plan plans planned planning",
        "hope hopes hoped hoping",
        "bake baked baking bakes",
        "die dies dying died",
        "agree agrees agreed agreeing",
        "animate animated animating",
        "travel travels traveled travelled travelling",
        "control controlled controls controlling",
        "sky skies",
    ],
)
def test_inflections_of_a_word_are_one_term(words: str) -> None:
    assert len({stem(word) for word in words.split()}) == 1


@pytest.mark.parametrize(
    "words",
    [
        "anime animal animate animation",
        "experience experiment",
        "busy business bus",
        "university universe universal",
        "organ organic organization",
        "general generic generate",
        "policy police",
        "office officer official",
        "apart apartment",
        "new news",
        "ear earring",
        "wing wine win",
    ],
)
def test_words_that_only_begin_alike_are_not(words: str) -> None:
    assert len({stem(word) for word in words.split()}) == len(words.split())


def test_threads_stem_alike_at_the_same_time() -> None:
    words = [f"{letter}{ending}" for letter in ("walk", "talk", "print") for ending in ("ing", "ed", "s", "er")] * 50
    with ThreadPoolExecutor(4) as threads:
        stems = list(threads.map(lambda _: [stem(word) for word in words], range(4)))
    assert stems == [[stem(word) for word in words]] * 4
