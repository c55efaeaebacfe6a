"""Every event that the log can hold.

A tag names an event's meaning and version; neither ever changes for a tag.

CONTROL   IndexConfigured, IndexDeleted, ChangePublished   settings and ranking changes, by people and by the tuner
          ChangeRefused                                    a change that a policy did not allow
          MessageLost                                      put by a repair in the place of an unreadable message
DRAFTS    DraftSaved, DraftDeleted                         changes that are not published
CATALOG   DocumentUpserted, DocumentDeleted                documents
BEHAVIOR  BehaviorBatch of RankingShown and InteractionRecorded
SIGNALS   DocumentBehaviorLearnt, QueryBehaviorLearnt      what behavior says of a document, in general and for a query
          ExplorationLearnt                                how many searches are worth exploring
DEAD      EventRefused, EventReplayed, DeadLettersDropped  events that could not be used

Fields are only ever added, with defaults. Times are UTC. Floats are finite. Behavior events come by the million and
hold no reference cycles: tuples and `gc=False` keep them out of the garbage collector's way.

An event with a member `skippable: true` may be ignored by a reader that does not know its tag.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from events.edits import Edit
from events.settings import IndexSettings

InteractionType = Literal["click", "add_to_cart", "purchase", "view", "feedback"]


class ControlFields(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that every CONTROL event has.

    id: unique; also the message id, so that an exact retry is stored once
    actor: who made the change
    actor_verified: whether the actor's identity was checked
    source: where it came from, such as an address; '' if unknown
    """

    id: str
    timestamp: datetime
    index: str
    actor: str = "anonymous"
    actor_verified: bool = False
    reason: str = ""
    source: str = ""


class IndexConfigured(ControlFields, frozen=True, kw_only=True, tag="index_configured.v1"):
    """An index was created, or its settings were replaced.

    default_weights: weight of each feature that the settings give, in feature order. Features that the index already
        had keep their weights. Stored, so that a replay does not depend on the defaults of the code that replays.
    """

    settings: IndexSettings
    default_weights: dict[str, float]


class IndexDeleted(ControlFields, frozen=True, kw_only=True, tag="index_deleted.v1"):
    """An index and its documents are no longer served. The history stays."""


class ChangePublished(ControlFields, frozen=True, kw_only=True, tag="change_published.v1"):
    """An index was edited. All edits of a change take effect at once.

    undoes: sequence of the change that this one reverts
    restores: sequence as of which this change sets the index
    draft: id of the draft that was published; '' for none
    draft_event: id of the event that had saved that draft
    """

    edits: tuple[Edit, ...]
    undoes: int | None = None
    restores: int | None = None
    draft: str = ""
    draft_event: str = ""


class ChangeRefused(ControlFields, frozen=True, kw_only=True, tag="change_refused.v1"):
    """A policy of the index did not allow a change. Nothing changes.

    kind: type of the event that was refused
    policy: member of the policy that refused it
    detail: why
    edits: as in `ChangePublished`
    draft: as in `ChangePublished`
    """

    kind: str
    policy: str
    detail: str
    edits: tuple[Edit, ...] = ()
    draft: str = ""
    skippable: bool = True


class MessageLost(ControlFields, frozen=True, kw_only=True, tag="message_lost.v1"):
    """Stands in the place of a message that a repair could not read, so that later ones keep their sequences.

    index: ''
    reason: why it could not be read
    """

    skippable: bool = True


ControlEvent = IndexConfigured | IndexDeleted | ChangePublished | ChangeRefused | MessageLost


class Approval(msgspec.Struct, frozen=True):
    """A person approved a draft."""

    actor: str
    timestamp: datetime
    actor_verified: bool = False
    reason: str = ""
    source: str = ""


class Schedule(msgspec.Struct, frozen=True):
    """When a draft is to be published, and who scheduled it.

    failure: why it could not be published at that time; '' before
    """

    publish_at: datetime
    actor: str
    scheduled_at: datetime
    reason: str
    actor_verified: bool = False
    source: str = ""
    failure: str = ""


class DraftSaved(ControlFields, frozen=True, kw_only=True, tag="draft_saved.v1"):
    """A draft was written, whole. It has no effect on rankings.

    An approval or a schedule writes the event again; its actor and timestamp stay those of the edits.

    created_seq: CONTROL sequence that created the index
    base_seq: CONTROL sequence that the author saw
    approvals: approvals of exactly these edits
    schedule: schedule of exactly these edits; None for none
    """

    draft: str
    created_seq: int
    base_seq: int
    edits: tuple[Edit, ...]
    approvals: tuple[Approval, ...] = ()
    schedule: Schedule | None = None


class DraftDeleted(ControlFields, frozen=True, kw_only=True, tag="draft_deleted.v1"):
    """A draft was published or discarded."""

    draft: str


DraftEvent = DraftSaved | DraftDeleted


class DocumentUpserted(msgspec.Struct, frozen=True, kw_only=True, tag="document_upserted.v1"):
    """A document was written, whole.

    document: its JSON text as received
    """

    index: str
    id: str
    document: msgspec.Raw


class DocumentDeleted(msgspec.Struct, frozen=True, kw_only=True, tag="document_deleted.v1"):
    """A document was removed. Compaction keeps this event as the tombstone."""

    index: str
    id: str


CatalogEvent = DocumentUpserted | DocumentDeleted


class PairSwap(msgspec.Struct, frozen=True, gc=False):
    """Two neighbours that exploration could swap. The pairs of a ranking do not overlap and are drawn independently.

    rank: of the upper one, 1-based
    probability: of a swap, in (0, 1)
    """

    rank: int
    probability: float
    swapped: bool


class InterleavedRanking(msgspec.Struct, frozen=True, gc=False):
    """Two rankings that were shown as one (team-draft interleaving).

    in_force: first ten ids by the weights in force
    challenger: first ten ids by the other weights
    coins: which ranking chose first, round by round
    """

    in_force: tuple[str, ...]
    challenger: tuple[str, ...]
    coins: tuple[bool, ...]


class FeatureScale(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What one search counts some of its features in: feature = (value - lowest) / unit, at least 0.

    Features of vectors are multiplied by the vector trust afterwards.

    feature: name of the feature; `words` for all that words give
    """

    feature: str
    lowest: float
    unit: float


class RankingShown(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="ranking_shown.v1"):
    """One answered search: what learning and audits need and what cannot be filled in afterwards.

    id: `query_id` of the answer
    query: '' if the user is known; `sealed_query` then holds it, encrypted under the user's key
    user: pseudonym that only the keyring can tie to a shopper; '' if none was named
    first_rank: rank of the first hit (offset + 1)
    document_ids: hits in the order shown
    features: one row a hit, one column a name of `feature_names`
    scores: one a hit
    exploration: pairs that could have been swapped; None if nothing was explored, and then the logging propensity
        of the shown order is 1
    weights_version: version of the weights that ranked
    config_version: CONTROL sequence of the index's last change
    applied_seq: CONTROL sequence that was applied
    applied_catalog_seq: CATALOG sequence of the documents that were searched
    generation: generation of the index that was searched
    applied_rules: ids of the rules that had an effect
    degraded: parts that were missing
    typing: whether the query may have been unfinished
    rule_factors: what rules multiplied each score by; () if they did not
    pinned_ids: hits whose rank a rule set
    weights_segment: segment whose weights counted; '' for those of the index
    request: JSON of the request's other members that were not at their defaults; '' if none were, or if the user
        is known: `sealed_request` then holds it, encrypted
    query_key: where the query is sealed, equal for equal queries of the same user
    behavior_factors: what shoppers' behavior multiplied each score by; () if it did not
    trial: trial that the search could be part of; '' for none
    interleaving: the two rankings, if both versions were shown
    holdout: whether the trial's weights ranked the search instead of those in force
    took_ms: time until the answer was there; 0 where unknown
    scoring_version: how scores come about; those of different versions cannot be compared
    scales: what its features are counted in
    measured: digest of what was measured in the catalogue; '' where unknown
    """

    id: str
    timestamp: datetime
    index: str
    query: str
    user: str = ""
    sealed_query: str = ""
    first_rank: int = 1
    document_ids: tuple[str, ...]
    feature_names: tuple[str, ...]
    features: tuple[tuple[float, ...], ...]
    scores: tuple[float, ...]
    exploration: tuple[PairSwap, ...] | None = None
    weights_version: int
    config_version: int
    applied_seq: int
    applied_catalog_seq: int = 0
    generation: str = ""
    experiment: str | None = None
    applied_rules: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
    typing: bool = False
    rule_factors: tuple[float, ...] = ()
    pinned_ids: tuple[str, ...] = ()
    weights_segment: str = ""
    request: str = ""
    sealed_request: str = ""
    query_key: str = ""
    behavior_factors: tuple[float, ...] = ()
    trial: str = ""
    interleaving: InterleavedRanking | None = None
    holdout: bool = False
    took_ms: float = 0.0
    scoring_version: int = 0
    scales: tuple[FeatureScale, ...] = ()
    measured: str = ""


class InteractionRecorded(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="interaction_recorded.v1"):
    """A shopper did something with a document.

    user: pseudonym, as in `RankingShown`
    timestamp: by the client's clock
    received_at: by the server's clock; orders interactions
    value: money, grade or dwell time, by kind; of feedback, from -1 (does not belong there) to 1 (does)
    source: `http` or `nats`
    replay_of: id of the dead letter that was replayed as this event
    """

    id: str
    kind: InteractionType
    index: str
    document_id: str
    query_id: str | None = None
    rank: int | None = None
    user: str = ""
    timestamp: datetime
    received_at: datetime
    value: float | None = None
    source: str = "http"
    replay_of: str | None = None


BehaviorEvent = RankingShown | InteractionRecorded


class BehaviorBatch(msgspec.Struct, frozen=True, kw_only=True, tag="behavior_batch.v1"):
    """Many behavior events in one message, so that they share one fsync."""

    events: list[BehaviorEvent]


class DocumentBehaviorLearnt(msgspec.Struct, frozen=True, kw_only=True, tag="document_behavior_learnt.v1"):
    """What behavior says of a document now. Replaces the event before it.

    created_seq: CONTROL sequence that created the index
    factor: what the document's score is multiplied by
    clicks: interactions with it, by value, decayed
    expected_clicks: what an average document would have earned at its ranks
    users: distinct users, as far as they are counted
    log2_lift: log2 of how many times better than average it is believed to be
    """

    index: str
    created_seq: int
    document_id: str
    factor: float
    clicks: float
    expected_clicks: float
    users: int
    timestamp: datetime
    log2_lift: float = 0.0


class QueryBehaviorLearnt(msgspec.Struct, frozen=True, kw_only=True, tag="query_behavior_learnt.v1"):
    """What behavior says of a document for one query. Used in place of what is known of the document in general.

    query: its words, normalized; at least twenty users searched for them
    factor: 1 if nothing specific is known
    log2_lift: on top of what the document is worth in general
    """

    index: str
    created_seq: int
    query: str
    document_id: str
    factor: float
    clicks: float
    expected_clicks: float
    users: int
    timestamp: datetime
    log2_lift: float
    skippable: bool = True


class ExplorationLearnt(msgspec.Struct, frozen=True, kw_only=True, tag="exploration_learnt.v1"):
    """The share of an index's searches that is worth exploring from now on.

    uncertainty: of the order of near-equal neighbours, in [0, 1]
    votes_per_search: votes that one explored search brings
    """

    index: str
    created_seq: int
    share: float
    uncertainty: float
    votes_per_search: float
    timestamp: datetime
    skippable: bool = True


SignalEvent = DocumentBehaviorLearnt | QueryBehaviorLearnt | ExplorationLearnt


class Skipped(msgspec.Struct, frozen=True):
    """Stands for a skippable event of a later version."""

    type: str


class EventRefused(msgspec.Struct, frozen=True, kw_only=True, tag="event_refused.v1"):
    """An event could not be used: a dead letter, with what is needed to replay it.

    source: `nats` (refused on arrival) or `join` (its ranking never came)
    reason: for a person who can act on it
    field: member that was refused; '' for the whole event
    payload: what was received, as text; bytes that are not UTF-8 show as replacement characters
    key: events with the same key are replayed in order: the id of the ranking, else of the event
    """

    id: str
    timestamp: datetime
    source: str
    subject: str
    reason: str
    field: str = ""
    payload: str = ""
    key: str = ""


class EventReplayed(msgspec.Struct, frozen=True, kw_only=True, tag="event_replayed.v1"):
    """A dead letter was replayed, as event `new_id`. Takes the place of the refusal."""

    id: str
    timestamp: datetime
    source: str
    new_id: str


class DeadLettersDropped(msgspec.Struct, frozen=True, kw_only=True, tag="dead_letters_dropped.v1"):
    """The oldest dead letters were removed to make room. Replaces the event before it.

    n_dropped: dead letters removed so far, in all
    through_seq: sequence of the last message that was removed
    through_timestamp: when the log stored that message
    """

    n_dropped: int
    through_seq: int
    through_timestamp: datetime
    timestamp: datetime
    skippable: bool = True


DeadEvent = EventRefused | EventReplayed | DeadLettersDropped
