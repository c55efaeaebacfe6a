"""The CONTROL fold: what every index is set to now, and how it came to be. Pure.

`fold(state, event, seq)` ignores a sequence it has seen, so delivery at least once changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from events.chain import GENESIS, link
from events.codec import decode_control
from events.edits import (
    DeleteRule,
    DeleteSegment,
    SetLearning,
    SetLimits,
    SetPolicy,
    SetRule,
    SetSegment,
    SetTrial,
    SetWeights,
)
from events.errors import Corrupt, NotFound
from events.hinges import feature_of, is_hinge
from events.learning import Learning, Trial
from events.policies import Policy
from events.rules import Rule
from events.segments import Segment
from events.settings import IndexSettings
from events.types import ChangePublished, ChangeRefused, ControlEvent, IndexConfigured, IndexDeleted, Skipped

# Drafts of which it is known that they are published, should they be found again.
MAX_PUBLISHED: Final = 1000


def _plain(value: Any) -> Any:
    """What msgspec does not know: read-only mappings."""
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise NotImplementedError(f"{type(value)} in a CONTROL state")


_canonical: Final = msgspec.json.Encoder(enc_hook=_plain, order="deterministic")


class Change(msgspec.Struct, frozen=True):
    """One entry of an index's weights history. weights: all of them after the change; changed: (before, after) each."""

    version: int
    seq: int
    timestamp: datetime
    actor: str
    actor_verified: bool
    reason: str
    changed: dict[str, tuple[float | None, float | None]]
    weights: dict[str, float]


class StoredRule(msgspec.Struct, frozen=True):
    """A rule and the change that wrote it. seq: of that change; created_seq: of the rule's first one."""

    id: str
    rule: Rule
    seq: int
    created_seq: int
    timestamp: datetime
    actor: str
    actor_verified: bool
    reason: str


class StoredSegment(msgspec.Struct, frozen=True):
    """A segment and the change that wrote it. seq: of that change."""

    id: str
    segment: Segment
    seq: int
    timestamp: datetime
    actor: str
    actor_verified: bool
    reason: str


class IndexControl(msgspec.Struct, frozen=True):
    """One index as CONTROL has it.

    created_seq: the sequence that created it, part of its CATALOG subjects. config_version: the sequence of its last
    change. weights: feature name -> weight, in feature order, then those of bends. history: oldest first. rules,
    segments: by id. bounds: (least, most) of weights that have other ones than usual. locks: features whose weight only
    people may move. policy: who may change it. learning: how it learns from shoppers; trial: what is compared just now.
    published: of the drafts that were published last, by name, the event that had saved them.
    """

    name: str
    settings: IndexSettings
    weights: Mapping[str, float]
    weights_version: int
    created_seq: int
    settings_seq: int
    config_version: int
    history: tuple[Change, ...]
    rules: Mapping[str, StoredRule] = MappingProxyType({})
    segments: Mapping[str, StoredSegment] = MappingProxyType({})
    bounds: Mapping[str, tuple[float, float]] = MappingProxyType({})
    locks: tuple[str, ...] = ()
    policy: Policy = Policy()
    published: Mapping[str, str] = MappingProxyType({})
    learning: Learning = Learning()
    trial: Trial | None = None

    def segment(self, segment_id: str) -> StoredSegment:
        """Raises NotFound where there is no segment of that name."""
        found = self.segments.get(segment_id)
        if found is None:
            message = f"index {self.name} has no segment {segment_id[:80]!r}"
            raise NotFound(message, field="segment", value=segment_id)
        return found

    def rule(self, rule_id: str) -> StoredRule:
        """Raises NotFound where there is no rule of that name."""
        found = self.rules.get(rule_id)
        if found is None:
            raise NotFound(f"index {self.name} has no rule {rule_id[:80]!r}", field="rule", value=rule_id)
        return found


class ControlState(msgspec.Struct, frozen=True):
    """All indexes at one CONTROL sequence. chain: the hash of every message up to it; see `events.chain`."""

    seq: int = 0
    indexes: Mapping[str, IndexControl] = MappingProxyType({})
    chain: str = GENESIS

    def index(self, name: str) -> IndexControl:
        """Raises NotFound where there is no index of that name."""
        found = self.indexes.get(name)
        if found is None:
            known = ", ".join(sorted(self.indexes)) or "none yet"
            raise NotFound(
                f"there is no index {name[:80]!r}; there are: {known}", field="index", value=name, limit=known
            )
        return found


def fold_message(state: ControlState, data: bytes, seq: int) -> ControlState:
    """As `fold`, from the bytes stored at `seq`, and with the chain carried on.

    Raises Corrupt where the bytes are no event, or where `seq` leaves a gap: nothing ever leaves CONTROL. Raises
    LaterVersion where only a later version knows what the event means: the state before it is all that can be served.
    """
    if seq <= state.seq:
        return state
    if seq != state.seq + 1:
        raise Corrupt(f"CONTROL {seq} comes after {state.seq}: what was between is missing")
    return msgspec.structs.replace(fold(state, decode_control(data), seq), chain=link(state.chain, data))


def control_hash(state: ControlState) -> str:
    """SHA-256 of a state, in hex: equal for equal states, however they were reached."""
    return hashlib.sha256(_canonical.encode(state)).hexdigest()


def fold(state: ControlState, event: ControlEvent | Skipped, seq: int) -> ControlState:
    """The state after `event`, which is stored at `seq`. A sequence that was folded already changes nothing."""
    if seq <= state.seq:
        return state
    if isinstance(event, Skipped):
        return msgspec.structs.replace(state, seq=seq)
    indexes = dict(state.indexes)
    current = indexes.get(event.index)
    match event:
        case IndexConfigured():
            indexes[event.index] = _configured(current, event, seq)
        case ChangePublished():
            # One for an index that is gone is history without effect: it lost the race against the deletion.
            if current is not None:
                indexes[event.index] = _edited(current, event, seq)
        case IndexDeleted():
            indexes.pop(event.index, None)
        case ChangeRefused():
            pass
    return msgspec.structs.replace(state, seq=seq, indexes=MappingProxyType(indexes))


def _configured(current: IndexControl | None, event: IndexConfigured, seq: int) -> IndexControl:
    if current is None:
        blank = IndexControl(event.index, event.settings, {}, 0, seq, seq, seq, ())
        return _changed(blank, event, seq, dict(event.default_weights), 1)
    weights = {name: current.weights.get(name, value) for name, value in event.default_weights.items()}
    weights |= {
        name: value for name, value in current.weights.items() if is_hinge(name) and feature_of(name) in weights
    }
    renewed = msgspec.structs.replace(current, settings=event.settings, settings_seq=seq, config_version=seq)
    same = list(weights) == list(current.weights)
    if not same:
        renewed = msgspec.structs.replace(renewed, trial=None)
    return renewed if same else _changed(renewed, event, seq, weights, current.weights_version + 1)


def _edited(current: IndexControl, event: ChangePublished, seq: int) -> IndexControl:
    weights, rules, segments = dict(current.weights), dict(current.rules), dict(current.segments)
    bounds, locks, policy = dict(current.bounds), set(current.locks), current.policy
    learning = current.learning
    # What was compared was compared with weights that are no more.
    trial = None if any(isinstance(edit, SetWeights) for edit in event.edits) else current.trial
    for edit in event.edits:
        match edit:
            case SetWeights(weights=given):
                # A feature that is gone by now has no weight, and a bend without one is none.
                weights |= {name: value for name, value in given.items() if feature_of(name) in weights}
                weights = {name: value for name, value in weights.items() if value or not is_hinge(name)}
            case SetRule(id=rule_id, rule=rule):
                before = rules.get(rule_id)
                created_seq = before.created_seq if before is not None else seq
                rules[rule_id] = StoredRule(
                    rule_id, rule, seq, created_seq, event.timestamp, event.actor, event.actor_verified, event.reason
                )
            case DeleteRule(id=rule_id):
                rules.pop(rule_id, None)
            case SetLimits():
                bounds |= {name: given for name, given in edit.bounds.items() if given is not None}
                bounds = {name: held for name, held in bounds.items() if edit.bounds.get(name, held) is not None}
                locks = (locks | {name for name, on in edit.locks.items() if on}) - {
                    name for name, on in edit.locks.items() if not on
                }
            case SetSegment(id=segment_id, segment=segment):
                segments[segment_id] = StoredSegment(
                    segment_id, segment, seq, event.timestamp, event.actor, event.actor_verified, event.reason
                )
            case DeleteSegment(id=segment_id):
                segments.pop(segment_id, None)
            case SetPolicy():
                policy = edit.policy
            case SetLearning():
                if trial is not None and edit.learning.judgments != learning.judgments:
                    # Others have never been answered yet.
                    trial = msgspec.structs.replace(trial, judged_baseline=0.0)
                learning = edit.learning
                # Only the automatic mode goes on with what it compares.
                trial = trial if learning.mode == "automatic" else None
            case SetTrial():
                trial = edit.trial
    published = current.published
    if event.draft_event:
        others = [(name, saved) for name, saved in published.items() if name != event.draft]
        published = MappingProxyType(dict([*others, (event.draft, event.draft_event)][-MAX_PUBLISHED:]))
    renewed = msgspec.structs.replace(
        current, config_version=seq, policy=policy, published=published, learning=learning, trial=trial
    )
    if any(isinstance(edit, SetWeights) for edit in event.edits):
        renewed = _changed(renewed, event, seq, weights, current.weights_version + 1)
    # What was not edited stays the same object: whoever prepared something of it need not do so again.
    if any(isinstance(edit, SetRule | DeleteRule) for edit in event.edits):
        renewed = msgspec.structs.replace(renewed, rules=MappingProxyType(rules))
    if any(isinstance(edit, SetSegment | DeleteSegment) for edit in event.edits):
        renewed = msgspec.structs.replace(renewed, segments=MappingProxyType(segments))
    if any(isinstance(edit, SetLimits) for edit in event.edits):
        renewed = msgspec.structs.replace(renewed, bounds=MappingProxyType(bounds), locks=tuple(sorted(locks)))
    return renewed


def _changed(
    current: IndexControl, event: IndexConfigured | ChangePublished, seq: int, weights: dict[str, float], version: int
) -> IndexControl:
    before = current.weights
    changed = {
        name: (before.get(name), weights.get(name))
        for name in {**before, **weights}
        if before.get(name) != weights.get(name)
    }
    change = Change(version, seq, event.timestamp, event.actor, event.actor_verified, event.reason, changed, weights)
    return msgspec.structs.replace(
        current,
        weights=MappingProxyType(weights),
        weights_version=version,
        config_version=seq,
        history=(*current.history, change),
    )
