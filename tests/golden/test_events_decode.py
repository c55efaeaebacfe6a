"""The bytes of every event version ever released still decode to what they meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from events import codec
from events.settings import Embedding, IndexSettings, SearchableField, Signal
from events.types import (
    BehaviorBatch,
    DocumentDeleted,
    DocumentUpserted,
    EventRefused,
    EventReplayed,
    IndexConfigured,
    IndexDeleted,
    InteractionRecorded,
    RankingShown,
    RuleChanged,
    RuleDeleted,
    WeightsChanged,
)
from events.upcast import InteractionRecordedV1, RankingShownV1

FOLDER = Path(__file__).parent / "events"
DECODERS: dict[str, Callable[[bytes], object]] = {
    "index_configured.v1": codec.decode_control,
    "index_deleted.v1": codec.decode_control,
    "weights_changed.v1": codec.decode_control,
    "rule_changed.v1": codec.decode_control,
    "rule_deleted.v1": codec.decode_control,
    "document_upserted.v1": codec.decode_catalog,
    "document_deleted.v1": codec.decode_catalog,
    "behavior_batch.v1": codec.decode_behavior,
    "event_refused.v1": codec.decode_dead,
    "event_replayed.v1": codec.decode_dead,
}
WRITTEN = (
    IndexConfigured,
    IndexDeleted,
    WeightsChanged,
    RuleChanged,
    RuleDeleted,
    DocumentUpserted,
    DocumentDeleted,
    BehaviorBatch,
    EventRefused,
    EventReplayed,
)
KINDS = (*WRITTEN, RankingShown, InteractionRecorded, RankingShownV1, InteractionRecordedV1)


@pytest.mark.parametrize("tag", DECODERS)
def test_golden_bytes_decode_and_encode_again(tag: str) -> None:
    data = (FOLDER / f"{tag}.json").read_bytes().rstrip(b"\n")
    event = DECODERS[tag](data)
    assert isinstance(event, WRITTEN)
    assert codec.encode(event) == data


def test_bytes_from_before_a_field_was_added_decode_with_its_default() -> None:
    refused = codec.decode_dead((FOLDER / "event_refused.v1-without-key.json").read_bytes())
    assert isinstance(refused, EventRefused)
    assert (refused.id, refused.key) == ("ingest-7", "")
    older, newer = (
        codec.decode_behavior((FOLDER / f"behavior_batch.v1{suffix}.json").read_bytes())
        for suffix in ("-without-typing", "")
    )
    assert older == newer
    assert isinstance(older.events[0], RankingShown)
    assert older.events[0].typing is False


def test_every_event_type_ever_released_has_golden_bytes() -> None:
    tags = {str(kind.__struct_config__.tag) for kind in KINDS}
    tag = re.compile(r'"type":"([a-z_]+[.]v[0-9]+)"')
    assert tags == {found for path in FOLDER.glob("*.json") for found in tag.findall(path.read_text())}


def test_behaviour_of_the_first_version_is_read_as_that_of_today() -> None:
    shown, first, second = codec.decode_behavior((FOLDER / "behavior_batch.v1-of-v1.json").read_bytes()).events
    assert isinstance(shown, RankingShown)
    assert (shown.id, shown.query, shown.user, shown.features) == ("q1", "red shoe", "", ((0.5,), (0.5,), (0.5,)))
    assert isinstance(first, InteractionRecorded)
    assert isinstance(second, InteractionRecorded)
    assert (first.id, first.query_id, first.user) == ("e1", "q1", "")
    assert (second.id, second.query_id, second.user) == ("e2", None, "")


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
