"""The history of changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.edits import SetWeights
from events.errors import InvalidInput, NotFound
from events.types import ChangePublished, IndexConfigured
from searchsvc.service.history import ChangeHistory
from tests.factories import NOW, SETTINGS, history_of
from tuning.features import default_weights


def history(folder: Path) -> ChangeHistory:
    configured = IndexConfigured(
        id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
    )
    changed = ChangePublished(
        id="2", timestamp=NOW, index="shop", actor="ada", edits=(SetWeights({"bm25.title": 7.0}),)
    )
    return ChangeHistory(history_of(folder, [configured, changed]))


@pytest.mark.anyio
async def test_a_change_is_read_by_its_sequence(tmp_path: Path) -> None:
    changes = history(tmp_path)
    assert changes.last_seq == 2
    entry = await changes.entry(2)
    assert (entry.actor, entry.changed.weights["bm25.title"][1]) == ("ada", 7.0)
    assert [entry.seq for entry in (await changes.page("shop", 0, 10)).entries] == [1, 2]
    with pytest.raises(NotFound, match="3"):
        await changes.entry(3)


@pytest.mark.anyio
async def test_the_difference_between_two_moments_ends_now_by_default(tmp_path: Path) -> None:
    changes = history(tmp_path)
    difference = await changes.difference("shop", "1", "")
    assert (difference.from_seq, difference.to_seq) == (1, 2)
    assert list(difference.changed.weights) == ["bm25.title"]
    with pytest.raises(InvalidInput) as refused:
        await changes.difference("shop", "9", "")
    assert refused.value.field == "from"
