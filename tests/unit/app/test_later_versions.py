"""Events of later versions: skipped if they say so, else every reader stops before them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from events import codec, control
from events.errors import LaterVersion
from events.log import Entry
from events.memory import MemoryEventLog
from events.streams import BEHAVIOR_SUBJECT, catalog_subject
from events.types import DocumentUpserted, IndexConfigured
from searchsvc.engines.embedded.indexes import EmbeddedIndexes
from searchsvc.indexing.indexers import Indexers
from searchsvc.indexing.measurement_files import MeasurementFiles
from searchsvc.state.serving import Serving
from tests.factories import NOW, SETTINGS, alike, click
from tests.unit.behavior.follower_node import FollowerNode, append
from tuning.features import default_weights

LATER_VERSION = b'{"type":"rules_changed.v7","id":"x"}'
CONFIGURED = codec.encode(
    IndexConfigured(id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS))
)


@pytest.mark.anyio
async def test_behavior_stops_before_a_later_version_and_its_snapshot_too(tmp_path: Path) -> None:
    log = MemoryEventLog()
    await append(log, click("e1", None))
    await log.append("BEHAVIOR", Entry(BEHAVIOR_SUBJECT, LATER_VERSION))
    await append(log, click("e2", None))
    node = FollowerNode(log, tmp_path)
    with pytest.raises(LaterVersion):
        await node.run(until=3)
    assert node.follower.caught_up.is_set(), "a service serves what is before a later version"
    await node.follower.save()
    again = FollowerNode(log, tmp_path)
    again.follower.restore()
    assert (again.state.seq, again.state.has_stored("e1"), again.state.has_stored("e2")) == (1, True, False)


@pytest.mark.anyio
async def test_an_index_serves_the_documents_before_a_later_version_and_reports_it(tmp_path: Path) -> None:
    log, serving = MemoryEventLog(), Serving()
    await serving.set_control(control.fold_message(control.ControlState(), CONFIGURED, 1))
    for name in ("a", "later", "b"):
        text = msgspec.Raw(msgspec.json.encode({"id": name, "title": "x"}))
        event = codec.encode(DocumentUpserted(index="shop", id=name, document=text))
        data = LATER_VERSION if name == "later" else event
        await log.append("CATALOG", Entry(catalog_subject("shop", 1, name), data))
    indexes, files = EmbeddedIndexes(tmp_path / "indexes", "", 0), MeasurementFiles(tmp_path / "measurements")
    indexers = Indexers(indexes, log, serving, None, files, alike)
    await indexers.reconcile()
    state = await serving.wait_until(lambda s: "shop" in s.snapshots, 10, "the index")
    assert (state.snapshots["shop"].n_documents, state.snapshots["shop"].catalog_seq) == (1, 1)
    assert "rules_changed.v7" in indexers.failed["shop"]
    await indexers.close()
