"""What an import says of texts that are read as something else."""

from __future__ import annotations

from searchsvc.indexing.texts_read import texts_read


def documents(**members: list[object]) -> list[dict[str, object]]:
    return [
        dict(zip(members, values, strict=True), id=str(i))
        for i, values in enumerate(zip(*members.values(), strict=True))
    ]


def test_an_import_says_what_it_read() -> None:
    read = texts_read(
        documents(
            price=["1,299.00 €", "99,90 €", 12.5],
            day=["31.12.2026", "2026-01-05", "1.2.2026"],
            in_stock=["yes", "no", True],
        )
    )
    assert [(reading.field, reading.message) for reading in read.readings] == [
        ("price", "texts of price, such as '1,299.00 €', are read as numbers"),
        ("day", "texts of day, such as '31.12.2026', are read as dates"),
        ("in_stock", "texts of in_stock, such as 'yes', are read as true and false"),
    ]
    assert read.warnings == []


def test_an_import_says_what_it_could_not_read() -> None:
    read = texts_read(documents(price=["1,299.00 €", "99,90 €", "call us"], day=["31.12.2026", "1/2/2026", "3.4.2026"]))
    assert read.readings == []
    assert [warning.message for warning in read.warnings] == [
        "1 texts of price, such as 'call us', cannot be read as numbers, so none is, as '1,299.00 €' could be",
        "1 texts of day, such as '1/2/2026', cannot be read as dates, so none is, as '31.12.2026' could be",
    ]


def test_a_text_that_ends_the_reading_of_its_member_is_named() -> None:
    read = texts_read(
        [{"id": "a", "price": "call us", "day": "soon", "title": "lamp"}, {"id": "b", "price": 5}],
        lambda name, dates: (name, dates) in {("price", False), ("day", True), ("id", False)},
    )
    assert [warning.message for warning in read.warnings] == [
        "price has numbers; as 'call us' cannot be read so, no text of it is",
        "day has dates; as 'soon' cannot be read so, no text of it is",
    ]


def test_what_programs_write_needs_no_word() -> None:
    plain = documents(
        price=[1, 2.5, "3"],
        day=["2026-01-05", "2026-01-06T10:00:00Z", "2026-01-07"],
        flag=[True, False, "true"],
        title=["1,5 l water", "a lamp", "99 red balloons"],
        code=["007", "7", "x"],
    )
    assert texts_read(plain) == texts_read([])
