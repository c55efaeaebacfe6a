"""Every event the log can hold. A tag names its meaning and version; it never changes either.

CONTROL   IndexConfigured, IndexDeleted, ChangePublished     what people and the tuner decided
          ChangeRefused                                      what a policy did not let them
DRAFTS    DraftSaved, DraftDeleted                           what people think of changing
CATALOG   DocumentUpserted, DocumentDeleted                  what is there to be found
BEHAVIOR  BehaviorBatch of RankingShown, InteractionRecorded what shoppers saw and did
SIGNALS   DocumentBehaviorLearnt, QueryBehaviorLearnt        what that says of documents, and of them for a query
          ExplorationLearnt                                  how much is worth leaving to chance
DEAD      EventRefused, EventReplayed                        what could not be used, and why

Fields are only ever added, with defaults. Times are UTC. Floats are finite. Behaviour events come by the million and
refer to nothing that refers back: tuples, and `gc=False`, keep them out of the garbage collector's way.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from events.edits import Edit
from events.settings import IndexSettings

InteractionType = Literal["click", "add_to_cart", "purchase", "view", "feedback"]


class ControlFields(msgspec.Struct, frozen=True, kw_only=True):
    """What every CONTROL event says of itself.

    id: unique; it is also the message id, so an exact retry is stored once.
    actor: who asked; unverified until keys exist. source: from where, such as an address; '' where that is not known.
    """

    id: str
    timestamp: datetime
    index: str
    actor: str = "anonymous"
    actor_verified: bool = False
    reason: str = ""
    source: str = ""


class IndexConfigured(ControlFields, frozen=True, kw_only=True, tag="index_configured.v1"):
    """An index was created or its settings replaced.

    default_weights: the weight of each feature that these settings give; features the index already had keep theirs.
        Stored, so that a replay does not depend on the code's defaults of the day. Its order is the feature order.
    """

    settings: IndexSettings
    default_weights: dict[str, float]


class IndexDeleted(ControlFields, frozen=True, kw_only=True, tag="index_deleted.v1"):
    """An index and its documents are gone from serving. The history stays."""


class ChangePublished(ControlFields, frozen=True, kw_only=True, tag="change_published.v1"):
    """Weights and rules of an index were edited. All edits of a change count from the same moment.

    undoes: the sequence of the change that this one takes back. restores: the sequence as of which it sets the index.
    draft: that it was published from; draft_event: the event that had saved it.
    """

    edits: tuple[Edit, ...]
    undoes: int | None = None
    restores: int | None = None
    draft: str = ""
    draft_event: str = ""


class ChangeRefused(ControlFields, frozen=True, kw_only=True, tag="change_refused.v1"):
    """Somebody asked for a change that a policy of the index did not allow. It changes nothing.

    kind: of event that it would have been. policy: the member that did not allow it; detail: why. edits, draft: as in
    `ChangePublished`. skippable: a version that does not know it reads on.
    """

    kind: str
    policy: str
    detail: str
    edits: tuple[Edit, ...] = ()
    draft: str = ""
    skippable: bool = True


ControlEvent = IndexConfigured | IndexDeleted | ChangePublished | ChangeRefused


class Approval(msgspec.Struct, frozen=True):
    """Somebody looked at a draft and wants it published."""

    actor: str
    timestamp: datetime
    actor_verified: bool = False
    reason: str = ""
    source: str = ""


class Schedule(msgspec.Struct, frozen=True):
    """When a draft is to be published, and who said so. failure: why it was not, then; '' before."""

    publish_at: datetime
    actor: str
    scheduled_at: datetime
    reason: str
    actor_verified: bool = False
    source: str = ""
    failure: str = ""


class DraftSaved(ControlFields, frozen=True, kw_only=True, tag="draft_saved.v1"):
    """A change that is not published yet was written, whole. Nothing ranks by it.

    base_seq: the CONTROL sequence that its author saw. created_seq: that created the index. approvals, schedule: of
    these very edits; the event is written again with them, and says who wrote the edits, and when.
    """

    draft: str
    created_seq: int
    base_seq: int
    edits: tuple[Edit, ...]
    approvals: tuple[Approval, ...] = ()
    schedule: Schedule | None = None


class DraftDeleted(ControlFields, frozen=True, kw_only=True, tag="draft_deleted.v1"):
    """A draft is gone: published, or given up."""

    draft: str


DraftEvent = DraftSaved | DraftDeleted


class DocumentUpserted(msgspec.Struct, frozen=True, kw_only=True, tag="document_upserted.v1"):
    """A document was written whole. `document` is its JSON text as received."""

    index: str
    id: str
    document: msgspec.Raw


class DocumentDeleted(msgspec.Struct, frozen=True, kw_only=True, tag="document_deleted.v1"):
    """A document was removed. This is also the tombstone that compaction keeps."""

    index: str
    id: str


CatalogEvent = DocumentUpserted | DocumentDeleted


class PairSwap(msgspec.Struct, frozen=True, gc=False):
    """Two neighbours that a policy might let change places, to learn from it. rank: of the upper one, 1-based.
    probability: with which it would swap them; in (0, 1). swapped: whether it did. Pairs of one ranking share no rank,
    and are drawn independently."""

    rank: int
    probability: float
    swapped: bool


class InterleavedRanking(msgspec.Struct, frozen=True, gc=False):
    """Two rankings that were shown in one. first, challenger: their first ten, by id; of the first are the weights in
    force. coins: by which they took turns."""

    in_force: tuple[str, ...]
    challenger: tuple[str, ...]
    coins: tuple[bool, ...]


class RankingShown(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="ranking_shown.v1"):
    """One answered search: what learning and audits need and cannot be filled in afterwards.

    id: the query_id of the answer. user: a pseudonym that only the keyring can tie to a shopper; '' where none was
        named. query: '' where it is tied to a user; then sealed_query holds it under that user's key.
    first_rank: rank of the first hit (offset + 1). document_ids: hits in the order shown. features: one row per hit,
        columns as `feature_names`. scores: one per hit.
    exploration: how the order was randomised; None where no policy explores, and then the ranking is the deterministic
        argmax with logging propensity 1.
    request: JSON of the other members of the search, where they were not the usual ones; '' where all were, and where
    it
        is tied to a user: then sealed_asked holds it as sealed_query does the query.
    weights_version, config_version, applied_seq: the CONTROL state that ranked. applied_catalog_seq and generation:
        the documents that were searched. degraded: parts that were missing. typing: the query may have been unfinished.
    rule_factors: what rules multiplied each hit's score by, () where they did not. pinned_ids: hits whose rank a rule
    forced.
    weights_segment: whose weights counted; '' for the index's own.
    query_key: where the query is sealed, what is the same for the same query of the same user, under their key.
    behavior_factors: what each hit's score was multiplied by for what shoppers do with it, () where by nothing.
    trial: that the search could be part of, '' for none; interleaving: where both versions were shown, what each was;
        holdout: whether the trial's weights ranked it, not those in force. took_ms: until the answer was there, 0
        where that is not known.
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


class InteractionRecorded(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="interaction_recorded.v1"):
    """Something a shopper did with a document.

    user: a pseudonym, as in `RankingShown`. timestamp: the client's clock (data); received_at: the server's, which
    orders.
    value: money, grade or dwell by kind; of feedback, from -1, it does not belong there, to 1, it does.
    source: `http` or `nats`. replay_of: the id of the refused event that was sent on its way again as this one.
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
    """Many behaviour events in one message, so that one fsync pays for all of them."""

    events: list[BehaviorEvent]


class DocumentBehaviorLearnt(msgspec.Struct, frozen=True, kw_only=True, tag="document_behavior_learnt.v1"):
    """What shoppers do with a document, as far as it is known by now. It takes the place of what was known before.

    created_seq: the CONTROL sequence that created the index. factor: what its score is to be multiplied by. clicks,
    expected_clicks: with it, and with an average document in its places, in values of interactions that decay. users:
    who
    differ, as far as they were counted. log2_lift: the logarithm to base 2 of what is believed of it, as a multiple of
    the average.
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
    """The same where shoppers ask for something: it counts in place of what is known of the document whatever is asked.

    query: its words, folded; at least twenty users asked for them. factor: 1 where nothing of its own is known.
    log2_lift: on top of what the document is worth whatever is asked. skippable: whoever does not know it reads on.
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
    """The share of an index's searches in which neighbours are worth leaving to chance from now on.

    uncertainty: of the order of such neighbours, in [0, 1]. votes_per_search: that come of a search in which they
    were. skippable: as
    above.
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
    """An event of a later version that says of itself (`"skippable": true`) that readers may go on without it."""

    type: str


class EventRefused(msgspec.Struct, frozen=True, kw_only=True, tag="event_refused.v1"):
    """An event that could not be used, with the reason a person can act on, and the bytes to replay it from.

    source: `nats` (refused at the door) or `join` (no ranking came). key: what has to stay in order with it: its
    ranking, else itself. payload: what was received, as text; bytes that are not UTF-8 are shown with replacement
    characters.
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
    """A refused event was sent on its way again, as `new_id`. It takes the place of the refusal."""

    id: str
    timestamp: datetime
    source: str
    new_id: str


DeadEvent = EventRefused | EventReplayed
