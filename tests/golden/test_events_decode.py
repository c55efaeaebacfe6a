"""The bytes of every event version ever released still decode to what they meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from events import codec
from events.edits import DeleteRule, SetLearning, SetRule, SetTrial, SetWeights
from events.rules import Rule, SynonymAction
from events.settings import Embedding, IndexSettings, SearchableField, Signal
from events.types import (
    BehaviorBatch,
    ChangePublished,
    ChangeRefused,
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
    PairSwap,
    QueryBehaviorLearnt,
    RankingShown,
)
from events.upcast import InteractionRecordedV1, RankingShownV1, RuleChangedV1, RuleDeletedV1, WeightsChangedV1

FOLDER = Path(__file__).parent / "events"
DECODERS: dict[str, Callable[[bytes], object]] = {
    "index_configured.v1": codec.decode_control,
    "index_deleted.v1": codec.decode_control,
    "change_published.v1": codec.decode_control,
    "change_refused.v1": codec.decode_control,
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
}
WRITTEN = (
    IndexConfigured,
    IndexDeleted,
    ChangePublished,
    ChangeRefused,
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
)
KINDS = (
    *WRITTEN,
    RankingShown,
    InteractionRecorded,
    RankingShownV1,
    InteractionRecordedV1,
    WeightsChangedV1,
    RuleChangedV1,
    RuleDeletedV1,
)


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
    oldest, older, old, newer, later_still, newest = (
        codec.decode_behavior((FOLDER / f"behavior_batch.v1{suffix}.json").read_bytes())
        for suffix in (
            "-without-typing",
            "-without-rules",
            "-without-asked",
            "-without-trial",
            "-without-held-back",
            "",
        )
    )
    assert oldest == older
    shown, later = older.events[0], newer.events[0]
    assert isinstance(shown, RankingShown)
    assert isinstance(later, RankingShown)
    assert (shown.typing, shown.factors, shown.pinned) == (False, (), ())
    assert (later.factors, later.pinned) == ((1.5, 1.0, 1.0), ("b",))
    assert (later.sealed_asked, later.exploration) == ("c2VhbGVkLCB0b28=", (PairSwap(1, 0.02, True),))
    last = newest.events[0]
    assert isinstance(last, RankingShown)
    assert (last.behavior, last.trial, last.query_key) == ((1.0, 1.2, 1.0), "learnt-1", "b2Yga2V5")
    assert (last.held_back, last.took_ms) == (True, 2.5)
    timeless = msgspec.structs.replace(last, held_back=False, took_ms=0.0)
    assert later_still.events[0] == timeless
    assert later == msgspec.structs.replace(timeless, behavior=(), trial="", compared=None, query_key="")
    assert old.events[0] == msgspec.structs.replace(later, sealed_asked="", exploration=None)


def test_signals_from_before_means_were_told_have_none() -> None:
    before, after = (
        codec.decode_signal((FOLDER / f"document_behavior_learnt.v1{suffix}.json").read_bytes())
        for suffix in ("-without-doubled", "")
    )
    assert isinstance(before, DocumentBehaviorLearnt)
    assert after == msgspec.structs.replace(before, doubled=0.585)


def test_changes_from_before_an_index_could_learn_are_the_same_without_it() -> None:
    older, newer = (
        codec.decode_control((FOLDER / f"change_published.v1{suffix}.json").read_bytes())
        for suffix in ("-without-learning", "")
    )
    assert isinstance(older, ChangePublished)
    assert isinstance(newer, ChangePublished)
    assert newer.edits[: len(older.edits)] == older.edits
    learning, trial, none = newer.edits[len(older.edits) :]
    assert isinstance(learning, SetLearning)
    assert isinstance(trial, SetTrial)
    assert (learning.learning.mode, trial.trial.weights if trial.trial else {}, none) == (
        "automatic",
        {"bm25.title": 4.0, "bm25.title>1/3": -0.5},
        SetTrial(None),
    )


def test_drafts_from_before_there_were_approvals_have_none() -> None:
    older, newer = (
        codec.decode_draft((FOLDER / f"draft_saved.v1{suffix}.json").read_bytes())
        for suffix in ("-without-approvals", "")
    )
    assert isinstance(older, DraftSaved)
    assert isinstance(newer, DraftSaved)
    assert (older.approvals, older.schedule, [one.actor for one in newer.approvals]) == ((), None, ["bea"])
    assert msgspec.structs.replace(newer, approvals=(), schedule=None) == older


@pytest.mark.parametrize("tag", ["index_configured", "index_deleted"])
def test_changes_from_before_it_was_kept_where_they_came_from_say_nothing_of_it(tag: str) -> None:
    older, newer = (
        codec.decode_control((FOLDER / f"{tag}.v1{suffix}.json").read_bytes()) for suffix in ("-without-source", "")
    )
    assert isinstance(older, IndexConfigured | IndexDeleted)
    assert isinstance(newer, IndexConfigured | IndexDeleted)
    assert (older.source, newer.source) == ("", "http 127.0.0.1")
    assert msgspec.structs.replace(older, source=newer.source) == newer


def test_changes_of_the_first_version_are_read_as_edits() -> None:
    weights, rule, deleted = (
        codec.decode_control((FOLDER / f"{tag}.v1.json").read_bytes())
        for tag in ("weights_changed", "rule_changed", "rule_deleted")
    )
    assert isinstance(weights, ChangePublished)
    assert isinstance(rule, ChangePublished)
    assert isinstance(deleted, ChangePublished)
    assert (weights.id, weights.actor, weights.reason) == ("c0ffee", "ada", "first")
    assert weights.edits == (SetWeights({"bm25.title": 4.5}),)
    actions = (SynonymAction(words=("laptop", "notebook")), SynonymAction(of=("tv",), to=("television",)))
    assert rule.edits == (SetRule("laptops", Rule(actions, valid_from=rule.at)),)
    assert deleted.edits == (DeleteRule("laptops"),)


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
