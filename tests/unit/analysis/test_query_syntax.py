"""Signs of a typed query."""

from __future__ import annotations

import pytest

from searchsvc.analysis.query_syntax import TypedQuery, read_query


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("red shoes", TypedQuery("red shoes")),
        ('"black coffee"', TypedQuery("black coffee", ("black coffee",))),
        ("\u201cblack coffee\u201d table", TypedQuery("black coffee table", ("black coffee",))),
        ("\u201eschwarzer Kaffee\u201c Tisch", TypedQuery("schwarzer Kaffee Tisch", ("schwarzer Kaffee",))),
        ('"a" "b"', TypedQuery("a b", ("a", "b"))),
        ('"iphone 15"', TypedQuery("iphone 15", ("iphone 15",))),
        ("black -coffee", TypedQuery("black", (), ("coffee",))),
        ('black -"coffee table" \u2013cup', TypedQuery("black", (), ("coffee table", "cup"))),
        ("-coffee", TypedQuery("", (), ("coffee",))),
        # No signs: inches, hyphens, numbers below zero, single letters, dashes, what is not closed.
        ('17" laptop 19"', TypedQuery('17" laptop 19"')),
        ("wi-fi usb -c", TypedQuery("wi-fi usb -c")),
        ("thermometer -20", TypedQuery("thermometer -20")),
        ("black - coffee", TypedQuery("black - coffee")),
        ('"black coffee', TypedQuery('"black coffee')),
        ('""', TypedQuery('""')),
    ],
)
def test_signs_are_read(typed: str, expected: TypedQuery) -> None:
    assert read_query(typed) == expected


def test_another_text_gets_the_same_signs() -> None:
    assert read_query('"black coffe" "red cup" tabel -"tea pot" -milk').with_signs("black coffee red cup table") == (
        'black coffee "red cup" table -"tea pot" -milk'
    )


def test_every_sign_counts() -> None:
    assert len(read_query(" ".join(f'"a{i} b"' for i in range(20))).phrases) == 20
    assert read_query("brass " + " ".join(f"-w{i}" for i in range(50))).excluded[-1] == "w49"
