"""What an indexer saves when it is closed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from events import control
from events.codec import encode
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import catalog_subject
from events.types import DocumentUpserted, IndexConfigured
from searchsvc.engines.embedded import storage
from searchsvc.engines.embedded.indexes import EmbeddedStorage
from searchsvc.indexing.indexer import Indexer
from searchsvc.indexing.measurement_files import MeasurementFiles
from searchsvc.state.serving import Serving
from tests.factories import DIMENSION, NOW, SETTINGS


@pytest.mark.anyio
async def test_an_indexer_that_failed_in_the_middle_of_a_write_saves_nothing(tmp_path: Path) -> None:
    event = IndexConfigured(id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights={})
    index = control.fold(control.ControlState(), event, 1).index("shop")
    log = MemoryEventLog()
    document = DocumentUpserted(index="shop", id="1", document=msgspec.Raw(b'{"id":"1","title":"red shoe"}'))
    await log.append("CATALOG", Entry(catalog_subject("shop", 1, "1"), encode(document)))
    for save in (False, True):
        folder = tmp_path / str(save)
        stored = EmbeddedStorage(folder, SETTINGS, dimension=DIMENSION)
        indexer = Indexer(index, stored, log, Serving(), None, MeasurementFiles(tmp_path))
        indexer.engine = stored.open()
        await indexer.read_into(indexer.engine)
        await indexer.close(save=save)
        assert bool(storage.snapshots(folder)) is save
