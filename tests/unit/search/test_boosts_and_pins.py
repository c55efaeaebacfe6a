"""Boosts and pins among the candidates of a search."""

from __future__ import annotations

from pathlib import Path

from events.rules import (
    BoostAction,
    PinAction,
    Rule,
)
from tests.searching import answer, hit_ids, shoe_shop


def test_pages_of_a_ranking_with_pins_add_up_to_the_whole_list(tmp_path: Path) -> None:
    state = shoe_shop(tmp_path, r=Rule((PinAction("e", 2), PinAction("d", 4), PinAction("a", 3))))
    whole = hit_ids(answer(state, limit=5))
    assert whole == ["b", "e", "a", "d", "c"]
    assert [name for offset in range(5) for name in hit_ids(answer(state, limit=1, offset=offset))] == whole
    assert [hit.rank for hit in answer(state, limit=2, offset=2).hits] == [3, 4]


def test_a_short_page_does_not_move_a_pin_up(tmp_path: Path) -> None:
    state = shoe_shop(tmp_path, r=Rule((PinAction("f", 4), PinAction("d", 2))))
    whole = hit_ids(answer(state, "", distinct="brand"))
    assert whole == ["a", "d", "b", "f"]
    for size in (1, 2, 3):
        pages = [
            hit_ids(answer(state, "", distinct="brand", limit=size, offset=offset)) for offset in range(0, 4, size)
        ]
        assert [name for page in pages for name in page] == whole
    plain = hit_ids(answer(state, ""))
    assert plain.index("f") == 3
    assert [hit_ids(answer(state, "", limit=1, offset=offset))[0] for offset in range(6)] == plain


def test_a_pinned_document_stands_for_its_group(tmp_path: Path) -> None:
    state = shoe_shop(tmp_path, r=Rule((PinAction("c", 1),)))
    result = answer(state, distinct="brand")
    assert hit_ids(result) == ["c", "a", "d"]
    assert result.groups == 3
    assert hit_ids(answer(state, "", distinct="brand")) == ["c", "a", "d", "f"]


def test_a_boosted_document_is_retrieved_from_any_depth(tmp_path: Path) -> None:
    rules = {"r": Rule((BoostAction(100.0, "brand:Ef"),))}
    assert hit_ids(answer(shoe_shop(tmp_path), n_candidates=1, limit=1)) == ["a"]
    assert hit_ids(answer(shoe_shop(tmp_path, **rules), n_candidates=1, limit=1)) == ["d"]
    assert hit_ids(answer(shoe_shop(tmp_path, **rules), "", n_candidates=1, limit=1))[0] in ("d", "a")
