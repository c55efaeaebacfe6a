"""The bytes of every event version ever released still decode to what they meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from events import codec
from events.codec import StoredEvent
from events.settings import Embedding, IndexSettings, SearchableField, Signal
from events.types import (
    BehaviorBatch,
    DocumentDeleted,
    DocumentUpserted,
    EventRefused,
    IndexConfigured,
    IndexDeleted,
    InteractionRecorded,
    RankingShown,
    WeightsChanged,
)

FOLDER = Path(__file__).parent / "events"
DECODERS: dict[str, Callable[[bytes], StoredEvent]] = {
    "index_configured.v1": codec.decode_control,
    "index_deleted.v1": codec.decode_control,
    "weights_changed.v1": codec.decode_control,
    "document_upserted.v1": codec.decode_catalog,
    "document_deleted.v1": codec.decode_catalog,
    "behavior_batch.v1": codec.decode_behavior,
    "event_refused.v1": codec.decode_refused,
}


@pytest.mark.parametrize("tag", DECODERS)
def test_golden_bytes_decode_and_encode_again(tag: str) -> None:
    data = (FOLDER / f"{tag}.json").read_bytes().rstrip(b"\n")
    assert codec.encode(DECODERS[tag](data)) == data


def test_every_event_type_has_a_golden_file() -> None:
    kinds = (
        IndexConfigured,
        IndexDeleted,
        WeightsChanged,
        DocumentUpserted,
        DocumentDeleted,
        BehaviorBatch,
        EventRefused,
    )
    tags = {str(kind.__struct_config__.tag) for kind in kinds}
    assert tags == set(DECODERS) == {path.name.removesuffix(".json") for path in FOLDER.glob("*.json")}
    batch = codec.decode_behavior((FOLDER / "behavior_batch.v1.json").read_bytes())
    assert {type(event) for event in batch.events} == {RankingShown, InteractionRecorded}


def test_settings_keep_their_meaning() -> None:
    event = codec.decode_control((FOLDER / "index_configured.v1.json").read_bytes())
    assert isinstance(event, IndexConfigured)
    assert event.settings == IndexSettings(
        searchable=(SearchableField("title"), SearchableField("attributes", ("attr_*",))),
        title="title",
        embedding=Embedding(("title", "text"), 120),
        signals=(Signal("votes", "log1p", 7.5),),
    )
    assert list(event.default_weights) == ["bm25.title", "bm25.attributes", "cosine", "signal.votes"]
