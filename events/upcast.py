"""Events as earlier versions wrote them, and what they are today. Pure. Nothing here is ever removed."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from events.edits import DeleteRule, Edit, SetRule, SetWeights
from events.rules import Rule
from events.types import (
    BehaviorEvent,
    ChangePublished,
    ChangeRefused,
    ControlEvent,
    ControlFields,
    IndexConfigured,
    IndexDeleted,
    InteractionRecorded,
    InteractionType,
    RankingShown,
)


class WeightsChangedV1(ControlFields, frozen=True, kw_only=True, tag="weights_changed.v1"):
    """version: counted up by one per index, as it does where changes are folded."""

    version: int
    weights: dict[str, float]


class RuleChangedV1(ControlFields, frozen=True, kw_only=True, tag="rule_changed.v1"):
    """Rules had synonyms, and no conditions."""

    rule_id: str
    rule: Rule


class RuleDeletedV1(ControlFields, frozen=True, kw_only=True, tag="rule_deleted.v1"):
    rule_id: str


class RankingShownV1(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="ranking_shown.v1"):
    """user_token stood as it was sent, and the query was never sealed."""

    id: str
    at: datetime
    index: str
    query: str
    user_token: str = ""
    first_rank: int = 1
    document_ids: tuple[str, ...]
    feature_names: tuple[str, ...]
    features: tuple[tuple[float, ...], ...]
    scores: tuple[float, ...]
    exploration: str | None = None
    weights_version: int
    config_version: int
    applied_seq: int
    applied_catalog_seq: int = 0
    generation: str = ""
    experiment: str | None = None
    applied_rules: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()


class InteractionRecordedV1(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="interaction_recorded.v1"):
    """user_token stood as it was sent."""

    id: str
    kind: InteractionType
    index: str
    document_id: str
    query_id: str | None = None
    rank: int | None = None
    user_token: str = ""
    at: datetime
    received_at: datetime
    value: float | None = None
    source: str = "http"


StoredBehaviorEvent = RankingShown | InteractionRecorded | RankingShownV1 | InteractionRecordedV1


StoredControlEvent = ControlEvent | WeightsChangedV1 | RuleChangedV1 | RuleDeletedV1

CURRENT: Final = (InteractionRecorded, RankingShown)


def upcast(event: StoredBehaviorEvent) -> BehaviorEvent:
    """The event as it would be written today."""
    if isinstance(event, CURRENT):
        return event
    members = msgspec.structs.asdict(event)
    # Without the keyring no pseudonym can be given, and a hash of the token could be tried out: it is nobody's.
    del members["user_token"]
    return RankingShown(**members) if isinstance(event, RankingShownV1) else InteractionRecorded(**members)


def upcast_control(event: StoredControlEvent) -> ControlEvent:
    """The event as it would be written today."""
    match event:
        case IndexConfigured() | IndexDeleted() | ChangePublished() | ChangeRefused():
            return event
        case WeightsChangedV1():
            edit: Edit = SetWeights(event.weights)
        case RuleChangedV1():
            edit = SetRule(event.rule_id, event.rule)
        case RuleDeletedV1():
            edit = DeleteRule(event.rule_id)
    return ChangePublished(
        id=event.id,
        at=event.at,
        index=event.index,
        actor=event.actor,
        actor_verified=event.actor_verified,
        reason=event.reason,
        source=event.source,
        edits=(edit,),
    )
