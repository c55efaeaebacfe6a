"""Indexers: what one saves when it is closed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from events import control
from events.memory import MemoryEventLog
from events.types import IndexConfigured
from searchsvc.engines.embedded import storage
from searchsvc.engines.embedded.indexes import EmbeddedStorage
from searchsvc.indexing.indexer import Indexer
from searchsvc.state.serving import Serving
from tests.factories import DIMENSION, NOW, SETTINGS, upsert


@pytest.mark.anyio
async def test_an_indexer_that_failed_in_the_middle_of_a_write_saves_nothing(tmp_path: Path) -> None:
    event = IndexConfigured(id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights={})
    index = control.fold(control.ControlState(), event, 1).index("shop")
    for save in (False, True):
        folder = tmp_path / str(save)
        stored = EmbeddedStorage(folder, SETTINGS, dimension=DIMENSION)
        indexer = Indexer(index, stored, MemoryEventLog(), Serving(), None, ThreadPoolExecutor(1))
        indexer.engine = stored.open()
        indexer.engine.apply([upsert("1", "red shoe")], 1)
        indexer._n_unsaved = 1
        await indexer.close(save=save)
        assert bool(storage.snapshots(folder)) is save
