"""Stems of words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from searchsvc.analysis.stemming import stem


def test_english_endings_share_a_stem_and_model_numbers_have_none() -> None:
    assert stem("shoes") == stem("shoe")
    assert stem("running") == stem("runs")
    assert stem("1211s") == "1211s"
    assert stem("東") == "東"


def test_threads_stem_alike_at_the_same_time() -> None:
    words = [f"{letter}{ending}" for letter in ("walk", "talk", "print") for ending in ("ing", "ed", "s", "er")] * 50
    with ThreadPoolExecutor(4) as threads:
        stems = list(threads.map(lambda _: [stem(word) for word in words], range(4)))
    assert stems == [[stem(word) for word in words]] * 4
