"""What is printed or logged holds no control character, and JSON still means the same."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.cli.serve import PrintableFormatter
from searchsvc.runtime.printable import printable, printable_json

UNSAFE = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *"\u2028\u2029\u200e\u200f\u202e\u2066\ufeff"]


@given(st.text(st.one_of(st.sampled_from(UNSAFE), st.characters(codec="utf-8"))))
def test_no_text_brings_a_control_character_to_a_terminal(text: str) -> None:
    assert not set(printable(text)) & set(UNSAFE)


@given(st.recursive(st.text(), lambda values: st.lists(values) | st.dictionaries(st.text(), values), max_leaves=8))
def test_json_means_the_same_without_control_characters(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert not (set(printable_json(text)) & set(UNSAFE)) - {"\n"}
    assert json.loads(printable_json(text)) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\r\n13:00 forged", r"a\r\n13:00 forged"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("Käse 日本語 👍🏽", "Käse 日本語 👍🏽"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_no_line_of_the_log_is_forged() -> None:
    record = logging.LogRecord("x", logging.ERROR, "", 0, "query %s", ("a\n2026 INFO forged\x1b[0m",), None)
    try:
        raise ValueError("b\n2026 INFO forged\x07")
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    lines = PrintableFormatter("%(levelname)s %(message)s").format(record).split("\n")
    assert lines[0] == r"ERROR query a\n2026 INFO forged\x1b[0m"
    assert all(line.startswith("  ") for line in lines[1:])
    assert not set("".join(lines)) & set(UNSAFE)
