"""How `import` cuts a file into requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rich_click as click

from searchsvc.cli.data import CHUNK_BYTES, CHUNK_LINES, split_chunks


def test_chunks_have_a_limited_number_of_lines_and_know_their_first_line() -> None:
    lines = [b"%d\n" % number for number in range(2 * CHUNK_LINES + 1)]
    chunks = list(split_chunks(lines))
    assert [(first, len(chunk)) for first, chunk in chunks] == [
        (1, CHUNK_LINES),
        (CHUNK_LINES + 1, CHUNK_LINES),
        (2 * CHUNK_LINES + 1, 1),
    ]
    assert [line for _, chunk in chunks for line in chunk] == lines


def test_chunks_have_a_limited_size_and_a_longer_line_is_sent_alone() -> None:
    lines = [b"x" * (CHUNK_BYTES // 2 + 1), b"y", b"z" * (CHUNK_BYTES + 1), b"w"]
    assert [(first, len(chunk)) for first, chunk in split_chunks(lines)] == [(1, 2), (3, 1), (4, 1)]


def test_an_empty_source_gives_no_chunk() -> None:
    assert list(split_chunks([])) == []


def test_a_source_that_breaks_off_names_the_last_line_read() -> None:
    def break_off() -> Iterator[bytes]:
        yield b"1\n"
        yield b"2\n"
        raise EOFError("compressed file ended")

    with pytest.raises(click.ClickException, match="cannot be read past line 2: compressed file ended"):
        list(split_chunks(break_off()))
