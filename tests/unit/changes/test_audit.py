"""The audit trail names every kind of edit, who made it, and what it reverts or why it was refused."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from events.edits import Edit
from events.errors import InvalidInput, NotFound
from events.types import ChangePublished, ChangeRefused, ControlEvent, IndexConfigured
from searchsvc.changes.audit import Audit, AuditEntry
from searchsvc.runtime.pages import MAX_PAGE_BYTES
from tests.factories import NOW, SETTINGS, history_of
from tests.unit.events.test_edits import KINDS
from tuning.features import default_weights

CONFIGURED = IndexConfigured(
    id="1",
    timestamp=NOW,
    index="shop",
    settings=SETTINGS,
    default_weights=default_weights(SETTINGS),
    actor="ada",
    reason="a new shop",
    source="http",
)


def change(*edits: Edit, undoes: int | None = None, restores: int | None = None) -> ChangePublished:
    return ChangePublished(
        id="change", timestamp=NOW, index="shop", actor="bea", edits=edits, undoes=undoes, restores=restores
    )


def entries(folder: Path, *events: ControlEvent) -> list[AuditEntry]:
    return Audit(history_of(folder, [CONFIGURED, *events])).page("", 0, 100).entries


def test_every_kind_of_edit_is_named_in_words(tmp_path: Path) -> None:
    events = [change(edit) for edit, *_ in KINDS]
    listed = entries(tmp_path, *events)[1:]
    words = {type(edit): entry.describe() for (edit, *_), entry in zip(KINDS, listed, strict=True)}
    assert {*words} == {*get_args(Edit)}
    assert [kind.__name__ for kind, text in words.items() if text == "nothing"] == []
    assert sorted(words.values())[-1].startswith("trial t1")


def test_an_entry_has_who_when_why_and_the_bytes_of_its_event(tmp_path: Path) -> None:
    history = history_of(tmp_path, [CONFIGURED])
    (entry,) = Audit(history).page("", 0, 100).entries
    assert (entry.seq, entry.kind, entry.index, entry.actor) == (1, "index_configured", "shop", "ada")
    assert (entry.reason, entry.source, entry.actor_verified) == ("a new shop", "http", False)
    step = history.step(1)
    assert (bytes(entry.event), entry.chain) == (bytes(step.record.data), step.after.chain)
    assert entry.describe().endswith("settings")


def test_what_is_reverted_rolled_back_and_refused_is_said(tmp_path: Path) -> None:
    weights, *_ = KINDS[0]
    refused = ChangeRefused(
        id="4", timestamp=NOW, index="shop", kind="change_published", policy="approvals", detail="two have to look"
    )
    listed = entries(tmp_path, change(weights, undoes=1), change(restores=1), refused)
    assert listed[1].describe().startswith("reverts 1: ")
    assert listed[2].describe() == "as of 1: nothing"
    assert (listed[3].describe(), listed[3].refused) == ("refused: two have to look", "two have to look")


def test_entries_are_those_past_a_sequence_of_one_index_up_to_a_limit(tmp_path: Path) -> None:
    other = IndexConfigured(
        id="2", timestamp=NOW, index="films", settings=SETTINGS, default_weights=default_weights(SETTINGS)
    )
    audit = Audit(history_of(tmp_path, [CONFIGURED, other, change(), change()]))
    assert [entry.seq for entry in audit.page("shop", 0, 100).entries] == [1, 3, 4]
    assert [entry.seq for entry in audit.page("shop", 1, 1).entries] == [3]
    assert [entry.seq for entry in audit.page("", 2, 100).entries] == [3, 4]
    assert audit.page("", 99, 100).entries == []
    for after, limit in ((-1, 1), (0, 0), (0, 1001)):
        with pytest.raises(InvalidInput):
            audit.page("", after, limit)
    with pytest.raises(NotFound, match="allowed: 1 to 4"):
        audit.entry(5)
    assert audit.entry(2).index == "films"


def test_pages_are_bounded_by_bytes_and_go_on_where_they_ended(tmp_path: Path) -> None:
    wide = msgspec.structs.replace(CONFIGURED, index="films", reason="x" * (MAX_PAGE_BYTES // 5))
    audit = Audit(history_of(tmp_path, [wide, wide, wide, CONFIGURED, wide]))
    pages, after = list[list[int]](), 0
    while True:
        page = audit.page("", after, 100)
        pages.append([entry.seq for entry in page.entries])
        if page.next_after is None:
            break
        after = page.next_after
    assert pages == [[1, 2], [3, 4, 5]]
    assert [entry.seq for entry in audit.page("shop", 0, 100).entries] == [4]


def test_a_page_that_is_full_says_where_the_next_one_begins(tmp_path: Path) -> None:
    audit = Audit(history_of(tmp_path, [CONFIGURED, change(), change()]))
    assert [audit.page("", after, 2).next_after for after in (0, 1, 2)] == [2, 3, None]
    assert audit.page("", 3, 2).next_after is None


def test_a_difference_between_two_sequences_needs_the_index_at_one_of_them(tmp_path: Path) -> None:
    weights, *_ = KINDS[0]
    audit = Audit(history_of(tmp_path, [CONFIGURED, change(weights)]))
    assert {*audit.between("shop", 1, 2).weights} == {"cosine", "bm25.title"}
    assert audit.between("shop", 0, 1).settings
    with pytest.raises(NotFound, match="no index 'films' at sequence 0, nor at 2"):
        audit.between("films", 0, 2)
