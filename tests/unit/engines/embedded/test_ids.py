"""Ids: the newest slot of a document, and the slot of an older snapshot."""

from __future__ import annotations

import numpy as np

from searchsvc.engines.embedded.ids import Ids, id_keys


def test_a_document_is_in_its_newest_slot_and_an_older_view_keeps_its_own() -> None:
    ids = Ids()
    ids.append(["a", "b"])
    before, live_before = ids.view(), np.array([True, True])
    ids.append(["a", "c"])
    after, live_after = ids.view(), np.array([False, True, True, True])
    assert (ids.slot("a"), after.slot("a", live_after), before.slot("a", live_before)) == (2, 2, 0)
    assert before.slot("c", live_before) is None
    assert list(after) == ["a", "b", "a", "c"]
    assert len(before) == 2


def test_a_dropped_document_is_found_in_older_views_only() -> None:
    ids = Ids()
    ids.append(["a", "b"])
    before = ids.view()
    ids.drop("a")
    ids.drop("never written")
    assert ids.slot("a") is None
    assert before.slot("a", np.array([True, True])) == 0
    assert ids.view().slot("a", np.array([False, True])) is None


def test_reopened_ids_know_the_live_slots() -> None:
    ids = Ids()
    ids.append(["a", "b", "a"])
    reopened = Ids(ids.store(), np.array([False, False, True]))
    assert (reopened.slot("a"), reopened.slot("b")) == (2, None)
    reopened.append(["b"])
    assert (reopened.slot("b"), len(reopened)) == (3, 4)


def test_keys_order_as_the_first_sixteen_bytes_of_ids_do() -> None:
    ids = sorted(["", "a", "ab", "b" * 15, "b" * 16, "c", "é", "日本"], key=str.encode)
    keys = [tuple(key) for key in id_keys(ids).tolist()]
    assert keys == sorted(keys)
    assert id_keys(["x" * 16]).tolist() == id_keys(["x" * 17]).tolist()
