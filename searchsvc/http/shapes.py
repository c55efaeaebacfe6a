"""What the API sends and receives, beside what `search` and `intake` define."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from events.control import Change, IndexControl, StoredRule, StoredSegment, control_hash
from events.digest import DocumentsDigest, state_hash
from events.edits import Edit, SetLimits
from events.errors import InvalidInput, require
from events.learning import Ignored, Learning, Mode, Trial
from events.policies import Policy
from events.rules import Action, Conditions, Rule
from events.segments import Segment
from events.settings import Embedding, IndexSettings, SearchableField, Signal
from searchsvc.behavior.dead_letters import DeadLetter
from searchsvc.changes.audit import AuditEntry
from searchsvc.changes.differences import Difference
from searchsvc.changes.drafts import Draft
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.indexing.documents import RefusedDocument
from searchsvc.indexing.rebuild import RebuildStatus
from searchsvc.learning.learners import LearningStatus
from searchsvc.rules.checks import RuleConflict
from searchsvc.search.answer import SearchRequest
from searchsvc.search.suggestions import Suggestion
from searchsvc.state.serving import ServingState

# Each is searched twice, one after the other.
MAX_PREVIEWED: Final = 100


class IndexInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of an index, as in `events.settings.IndexSettings`, and why."""

    searchable: tuple[SearchableField, ...]
    title: str
    embedding: Embedding | None = None
    signals: tuple[Signal, ...] = ()
    reason: str = ""

    def settings(self) -> IndexSettings:
        return IndexSettings(self.searchable, self.title, self.embedding, self.signals)


class IndexInfo(msgspec.Struct, frozen=True):
    """One index as it is served. state: ready, building, or failed (then `error` says why). refused: documents that are
    stored and that a cluster did not take, the last hundred, and why. rebuild: the last one since the start, which may
    be under way."""

    name: str
    state: str
    settings: IndexSettings
    weights: dict[str, float]
    weights_version: int
    config_version: int
    created_seq: int
    n_documents: int
    applied_catalog_seq: int
    generation: str
    error: str = ""
    refused: dict[str, str] = {}
    rebuild: RebuildStatus | None = None


class IndexList(msgspec.Struct, frozen=True):
    indexes: list[IndexInfo]


class IndexChanged(msgspec.Struct, frozen=True):
    seq: int
    index: IndexInfo | None


class ReindexInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """previous: go back to the index before the last, brought up to date, in place of a new one. force: whatever canary
    queries find."""

    previous: bool = False
    force: bool = False


class DocumentsAccepted(msgspec.Struct, frozen=True):
    """catalog_seq: every accepted document is searchable once the index has applied this. created: settings of the
    index, where these documents created it."""

    accepted: int
    refused: list[RefusedDocument]
    catalog_seq: int
    created: IndexSettings | None = None


class DocumentDeletedAnswer(msgspec.Struct, frozen=True):
    catalog_seq: int


class WeightsInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names not given keep their weight. bounds: (least, most) by name, null for the usual ones. locks: by name,
    whether only people may move it. expected_version: refuse (409) where another change came first."""

    weights: dict[str, float] = {}
    bounds: dict[str, tuple[float, float] | None] = {}
    locks: dict[str, bool] = {}
    reason: str = ""
    expected_version: int | None = None

    def limits(self) -> SetLimits | None:
        return SetLimits(self.bounds, self.locks) if self.bounds or self.locks else None


class WeightsInfo(msgspec.Struct, frozen=True):
    """min_weight, max_weight: of those without `bounds` of their own. locks: which only people may move. segments: by
    id, the weights that differ for some searches."""

    index: str
    version: int
    weights: dict[str, float]
    min_weight: float
    max_weight: float
    bounds: dict[str, tuple[float, float]] = {}
    locks: list[str] = []
    segments: dict[str, Segment] = {}


class WeightsChangedAnswer(msgspec.Struct, frozen=True):
    version: int
    seq: int
    weights: dict[str, float]


class SegmentInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A segment, whole, as in `events.segments.Segment`, and why."""

    conditions: Conditions
    weights: dict[str, float]
    priority: int = 0
    enabled: bool = True
    reason: str = ""

    def segment(self) -> Segment:
        return Segment(self.conditions, self.weights, self.priority, self.enabled)


class SegmentInfo(msgspec.Struct, frozen=True):
    """One segment, and the change that wrote it."""

    id: str
    conditions: Conditions
    weights: dict[str, float]
    priority: int
    enabled: bool
    seq: int
    timestamp: datetime
    actor: str
    actor_verified: bool
    reason: str

    @staticmethod
    def of(stored: StoredSegment) -> SegmentInfo:
        one = stored.segment
        return SegmentInfo(
            stored.id,
            one.conditions,
            one.weights,
            one.priority,
            one.enabled,
            stored.seq,
            stored.timestamp,
            stored.actor,
            stored.actor_verified,
            stored.reason,
        )


class SegmentList(msgspec.Struct, frozen=True):
    """By id."""

    index: str
    segments: list[SegmentInfo]


class SegmentChangedAnswer(msgspec.Struct, frozen=True):
    """seq: of the change; it is served. segment: null where it was deleted."""

    seq: int
    segment: SegmentInfo | None


class WeightsHistory(msgspec.Struct, frozen=True):
    """Newest first."""

    index: str
    changes: list[Change]


class SuggestQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """q: what was typed so far."""

    q: str
    limit: int = 8


class Suggestions(msgspec.Struct, frozen=True):
    """Best first: queries that shoppers made, then titles."""

    q: str
    suggestions: list[Suggestion]


class RuleInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule, whole, as in `events.rules.Rule`, and why. expected_seq: refuse (409) where the rule's last change is
    another one; 0 where there should be none yet."""

    actions: tuple[Action, ...]
    conditions: Conditions = Conditions()
    priority: int = 0
    enabled: bool = True
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    reason: str = ""
    expected_seq: int | None = None

    def rule(self) -> Rule:
        return Rule(self.actions, self.enabled, self.valid_from, self.valid_until, self.conditions, self.priority)


class DeletionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """expected_seq: as in `RuleInput`."""

    reason: str = ""
    expected_seq: int | None = None


class RuleInfo(msgspec.Struct, frozen=True):
    """One rule, and the change that wrote it. in_force: now, being enabled and within its window."""

    id: str
    conditions: Conditions
    actions: tuple[Action, ...]
    priority: int
    enabled: bool
    valid_from: datetime | None
    valid_until: datetime | None
    in_force: bool
    seq: int
    created_seq: int
    timestamp: datetime
    actor: str
    actor_verified: bool
    reason: str


class RuleList(msgspec.Struct, frozen=True):
    """By id."""

    index: str
    rules: list[RuleInfo]


class RuleChangedAnswer(msgspec.Struct, frozen=True):
    """seq: of the change; it is served. rule: null where it was deleted. conflicts: what it and others cannot both
    have."""

    seq: int
    rule: RuleInfo | None
    conflicts: list[RuleConflict] = []


class DraftInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """edits: what is to change, whole; see `events.edits`. expected_version: refuse (409) where the draft is at another
    one; 0 where there should be none yet."""

    edits: tuple[Edit, ...]
    reason: str = ""
    expected_version: int | None = None


class DraftList(msgspec.Struct, frozen=True):
    """By id."""

    index: str
    drafts: list[Draft]


class DraftDeletedAnswer(msgspec.Struct, frozen=True):
    id: str


class PreviewInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """queries: texts, or whole searches. limit: hits of those that are texts."""

    queries: list[str | dict[str, object]]
    limit: int = 10

    def requests(self) -> list[SearchRequest]:
        """Raises InvalidInput."""
        require(1 <= len(self.queries) <= MAX_PREVIEWED, "queries", len(self.queries), f"1 to {MAX_PREVIEWED} queries")
        found = []
        for i, query in enumerate(self.queries):
            given = {"query": query, "limit": self.limit} if isinstance(query, str) else query
            try:
                found.append(msgspec.convert(given, SearchRequest))
            except msgspec.ValidationError as error:
                limit = "a text, or the members of a search"
                message = f"queries[{i}]: {error}"
                raise InvalidInput(message, field=f"queries[{i}]", value=str(query), limit=limit) from error
        return found


class PublishInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """reason: stands in the log. force: also over what was changed otherwise since the draft was saved."""

    reason: str = ""
    force: bool = False


class PolicyInput(Policy, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A policy, whole, as in `events.policies.Policy`, and why."""

    reason: str = ""

    def policy(self) -> Policy:
        return Policy(self.max_step, self.freezes, self.publishers, self.approvals)


class PolicyInfo(msgspec.Struct, frozen=True):
    """frozen: whether a freeze holds now."""

    index: str
    policy: Policy
    frozen: bool


class LearningInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an index is to learn; members not given stay as they are. See `events.learning.Learning`. Whatever is set, a
    learner that was frozen goes on."""

    mode: Mode | None = None
    exploration: float | None = None
    max_boost: float | None = None
    values: dict[str, float] | None = None
    ignored: tuple[Ignored, ...] | None = None
    judgments: dict[str, dict[str, int]] | None = None
    families: tuple[str, ...] | None = None
    reason: str = ""

    def changed(self, now: Learning) -> Learning:
        given = {
            name: value
            for name in ("mode", "exploration", "max_boost", "values", "ignored", "judgments", "families")
            if (value := getattr(self, name)) is not None
        }
        return msgspec.structs.replace(now, frozen="", **given)


class ForgetInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What nothing is to be learnt from: what all did from one time until another, or one user alone."""

    since: datetime = msgspec.field(name="from")
    until: datetime
    user_token: str = ""
    reason: str = ""


class LearningInfo(msgspec.Struct, frozen=True):
    """trial: what is compared just now. learner: how far it is; null where another service learns."""

    index: str
    learning: Learning
    trial: Trial | None
    learner: LearningStatus | None


class StopInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str = ""


class ApproveInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """expected_version: of the draft that was looked at; refuse (409) where it is another by now."""

    reason: str = ""
    expected_version: int | None = None


class ScheduleInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """publish_at: when the draft is to be published, with a time zone. reason: stands in the log, then."""

    publish_at: datetime
    reason: str = ""


class RollbackInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of: to_version, whose weights are set again; to_time or to_seq, as of which weights and rules are."""

    to_version: int | None = None
    to_time: str | None = None
    to_seq: int | None = None
    reason: str = ""

    def target(self) -> tuple[str, int | str]:
        """The member that is given, and what it says. Raises InvalidInput where that is not one."""
        members = (("to_version", self.to_version), ("to_time", self.to_time), ("to_seq", self.to_seq))
        given = [(name, value) for name, value in members if value is not None]
        names = " and ".join(name for name, _ in given) or "none of them"
        require(len(given) == 1, "to_version", names, "one of to_version, to_time and to_seq")
        return given[0]


class RevertInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """force: also what was changed again since."""

    reason: str = ""
    force: bool = False


class ChangedAnswer(msgspec.Struct, frozen=True):
    """seq: of the change; it is served. changed: what it changed, from what to what."""

    seq: int
    changed: Difference


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """index: only changes of it. after: only those past this sequence."""

    index: str = ""
    after: int = 0
    limit: int = 100


class AuditList(msgspec.Struct, frozen=True):
    """Oldest first. last_seq: of all changes there are."""

    entries: list[AuditEntry]
    last_seq: int


class DifferenceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """from, to: sequences or times; now where not given."""

    since: str = msgspec.field(default="", name="from")
    to: str = ""


class DifferenceInfo(msgspec.Struct, frozen=True):
    """from_seq, to_seq: the last changes that counted at either moment."""

    index: str
    from_seq: int
    to_seq: int
    changed: Difference


class IndexState(msgspec.Struct, frozen=True):
    """created_seq: the CONTROL message that created the index. documents: what is served, as of applied_catalog_seq.
    n_refused: documents of the log that a cluster did not take, up to a hundred."""

    created_seq: int
    applied_catalog_seq: int
    documents: DocumentsDigest
    n_refused: int = 0


class StateInfo(msgspec.Struct, frozen=True):
    """seq: of CONTROL. chain: hash of its messages up to there. control_hash: of the state folded from them.

    indexes: those that are served. state_hash: over all of it; '' while an index is being built.
    """

    seq: int
    chain: str
    control_hash: str
    indexes: dict[str, IndexState]
    state_hash: str


class ErasureInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """user_token: as the website sends it with searches and events."""

    user_token: str


class Erased(msgspec.Struct, frozen=True):
    """n_keys: how many of the user's keys were destroyed; 0 where nothing of them was known."""

    n_keys: int


class DeadQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """index, key: only events of that index, of that ranking."""

    index: str = ""
    key: str = ""


class DeadList(msgspec.Struct, frozen=True):
    """Oldest first."""

    dead: list[DeadLetter]


class ReplayInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """ids: of refused events; without any, all of `index` and `key`, where given."""

    ids: list[str] = []
    index: str = ""
    key: str = ""


class EventsAccepted(msgspec.Struct, frozen=True):
    """ids: of every event, in order; all are on disk."""

    accepted: int
    ids: list[str]


def rule_info(stored: StoredRule, now: datetime) -> RuleInfo:
    rule = stored.rule
    return RuleInfo(
        id=stored.id,
        conditions=rule.conditions,
        actions=rule.actions,
        priority=rule.priority,
        enabled=rule.enabled,
        valid_from=rule.valid_from,
        valid_until=rule.valid_until,
        in_force=rule.in_force(now),
        seq=stored.seq,
        created_seq=stored.created_seq,
        timestamp=stored.timestamp,
        actor=stored.actor,
        actor_verified=stored.actor_verified,
        reason=stored.reason,
    )


def state_info(state: ServingState) -> StateInfo:
    control = state.control
    digests = {name: snapshot.digest for name, snapshot in state.snapshots.items() if name in control.indexes}
    return StateInfo(
        seq=control.seq,
        chain=control.chain,
        control_hash=control_hash(control),
        indexes={
            name: IndexState(
                control.index(name).created_seq,
                state.snapshots[name].catalog_seq,
                digest,
                len(state.snapshots[name].refusals),
            )
            for name, digest in sorted(digests.items())
        },
        state_hash=state_hash(control, digests) if len(digests) == len(control.indexes) else "",
    )


def index_info(
    control: IndexControl, snapshot: EngineSnapshot | None, error: str, rebuild: RebuildStatus | None
) -> IndexInfo:
    return IndexInfo(
        name=control.name,
        state="failed" if error else "ready" if snapshot else "building",
        settings=control.settings,
        weights=dict(control.weights),
        weights_version=control.weights_version,
        config_version=control.config_version,
        created_seq=control.created_seq,
        n_documents=snapshot.n_documents if snapshot else 0,
        applied_catalog_seq=snapshot.catalog_seq if snapshot else 0,
        generation=snapshot.generation if snapshot else "",
        error=error,
        refused=dict(snapshot.refusals) if snapshot else {},
        rebuild=rebuild,
    )
