"""The ids of stored interactions: at least `size`, oldest dropped first."""

from __future__ import annotations

from searchsvc.behavior.stored_events import BLOCK_IDS, StoredEventIds


def test_at_least_the_newest_ids_are_kept_and_the_oldest_are_dropped_first() -> None:
    event_ids = StoredEventIds(BLOCK_IDS)
    for i in range(3 * BLOCK_IDS):
        assert event_ids.add(f"e{i}")
        assert not event_ids.add(f"e{i}")
    assert BLOCK_IDS <= len(event_ids) <= 2 * BLOCK_IDS
    assert "e0" not in event_ids
    assert all(f"e{i}" in event_ids for i in range(2 * BLOCK_IDS, 3 * BLOCK_IDS))
