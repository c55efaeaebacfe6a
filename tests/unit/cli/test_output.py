"""How commands print."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from searchsvc.cli import output
from tests.factories import NOW


def test_an_answer_is_printed_as_json_or_as_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_answer({"seq": 5}, "done", True)
    assert json.loads(capsys.readouterr().out) == {"seq": 5}
    output.print_answer({"seq": 5}, "done", False)
    assert capsys.readouterr().out == "done\n"


def test_lines_of_json_stay_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json_line({"at": NOW, "ids": ["a", "b"]})
    assert capsys.readouterr().out.count("\n") == 1


def test_a_table_in_a_pipe_wraps_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("name", "reason"), [("shop", "word " * 40), ("films", "short")], "indexes")
    lines = capsys.readouterr().out.splitlines()
    assert sum("word" in line for line in lines) == 1
    assert any("indexes" in line for line in lines)


def test_numbers_and_times_are_short() -> None:
    assert output.format_time(datetime(2026, 1, 2, 3, 4, 5, 678, UTC)) == "2026-01-02 03:04:05"
    assert [output.format_weight(value) for value in (1.0, 0.25, None)] == ["1", "0.25", "—"]
    assert output.describe_weights({"cosine": (1.0, 2.5), "bm25.title": (None, 3.0)}) == [
        "cosine 1 → 2.5",
        "bm25.title — → 3",
    ]


def test_counts_name_each_stream_or_nothing() -> None:
    assert output.describe_counts({"CONTROL": 3, "CATALOG": 20}) == "CONTROL 3, CATALOG 20"
    assert output.describe_counts({}) == "nothing"
