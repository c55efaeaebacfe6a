"""What is computed of short texts is remembered, and of long ones not."""

from __future__ import annotations

from searchsvc.analysis.short_cache import MAX_CACHED_CHARS, short_cache


def test_texts_up_to_the_limit_are_cached_and_longer_ones_are_not() -> None:
    computed: list[int] = []

    @short_cache(10)
    def length(text: str) -> int:
        computed.append(len(text))
        return len(text)

    for n_chars in (MAX_CACHED_CHARS, MAX_CACHED_CHARS + 1):
        assert [length("x" * n_chars) for _ in range(2)] == [n_chars] * 2
    assert computed == [MAX_CACHED_CHARS, MAX_CACHED_CHARS + 1, MAX_CACHED_CHARS + 1]


def test_no_more_than_so_many_texts_are_cached() -> None:
    computed: list[str] = []

    @short_cache(2)
    def same(text: str) -> str:
        computed.append(text)
        return text

    for text in ("a", "b", "a", "c", "a", "b"):
        same(text)
    assert computed == ["a", "b", "c", "b"]
