"""The bytes of every event version ever released still decode to what they meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from events import codec
from events.settings import Embedding, IndexSettings, SearchableField, Signal
from events.types import (
    BehaviorBatch,
    ChangePublished,
    ChangeRefused,
    DeadLettersDropped,
    DocumentBehaviorLearnt,
    DocumentDeleted,
    DocumentUpserted,
    DraftDeleted,
    DraftSaved,
    EventRefused,
    EventReplayed,
    ExplorationLearnt,
    IndexConfigured,
    IndexDeleted,
    InteractionRecorded,
    MessageLost,
    QueryBehaviorLearnt,
    RankingShown,
)

FOLDER = Path(__file__).parent / "events"
DECODERS: dict[str, Callable[[bytes], object]] = {
    "index_configured.v1": codec.decode_control,
    "index_deleted.v1": codec.decode_control,
    "change_published.v1": codec.decode_control,
    "change_refused.v1": codec.decode_control,
    "message_lost.v1": codec.decode_control,
    "draft_saved.v1": codec.decode_draft,
    "draft_deleted.v1": codec.decode_draft,
    "document_upserted.v1": codec.decode_catalog,
    "document_deleted.v1": codec.decode_catalog,
    "behavior_batch.v1": codec.decode_behavior,
    "document_behavior_learnt.v1": codec.decode_signal,
    "query_behavior_learnt.v1": codec.decode_signal,
    "exploration_learnt.v1": codec.decode_signal,
    "event_refused.v1": codec.decode_dead,
    "event_replayed.v1": codec.decode_dead,
    "dead_letters_dropped.v1": codec.decode_dead,
}
WRITTEN = (
    IndexConfigured,
    IndexDeleted,
    ChangePublished,
    ChangeRefused,
    MessageLost,
    DraftSaved,
    DraftDeleted,
    DocumentUpserted,
    DocumentDeleted,
    BehaviorBatch,
    DocumentBehaviorLearnt,
    QueryBehaviorLearnt,
    ExplorationLearnt,
    EventRefused,
    EventReplayed,
    DeadLettersDropped,
)
KINDS = (
    *WRITTEN,
    RankingShown,
    InteractionRecorded,
)


@pytest.mark.parametrize("tag", DECODERS)
def test_golden_bytes_decode_and_encode_again(tag: str) -> None:
    data = (FOLDER / f"{tag}.json").read_bytes().rstrip(b"\n")
    event = DECODERS[tag](data)
    assert isinstance(event, WRITTEN)
    assert codec.encode(event) == data


def test_a_ranking_from_before_scales_has_none() -> None:
    before = codec.decode_behavior((FOLDER / "behavior_batch.v1-before-scales.json").read_bytes())
    now = codec.decode_behavior((FOLDER / "behavior_batch.v1.json").read_bytes())
    assert isinstance(before, BehaviorBatch)
    assert isinstance(now, BehaviorBatch)
    (ranking,) = (event for event in now.events if isinstance(event, RankingShown))
    assert ranking.scales
    unscaled = msgspec.structs.replace(ranking, scoring_version=0, scales=(), measured="")
    assert before.events == [unscaled if event is ranking else event for event in now.events]


def test_every_event_type_ever_released_has_golden_bytes() -> None:
    tags = {str(kind.__struct_config__.tag) for kind in KINDS}
    tag = re.compile(r'"type":"([a-z_]+[.]v[0-9]+)"')
    assert tags == {golden_tag for path in FOLDER.glob("*.json") for golden_tag in tag.findall(path.read_text())}


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
