"""The serving state."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.errors import Unavailable
from searchsvc.state.serving import Serving
from tests.factories import engine, upsert
from tests.factories import serving as serving_of


@pytest.mark.anyio
async def test_a_sequence_that_never_comes_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="sequence 9"):
        await Serving().wait_until(lambda state: state.control.seq >= 9, 0.05, "sequence 9")


@pytest.mark.anyio
async def test_a_snapshot_of_a_deleted_index_of_the_same_name_is_not_shown(tmp_path: Path) -> None:
    serving, snapshot = Serving(), engine(tmp_path / "shop", [upsert("1", "red shoe")]).snapshot()
    await serving.set_control(serving_of(snapshot).control)
    await serving.set_snapshot("shop", 1, snapshot)
    await serving.set_snapshot("shop", 77, engine(tmp_path / "other").snapshot())
    assert serving.current.snapshots["shop"] is snapshot
