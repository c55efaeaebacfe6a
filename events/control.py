"""The fold of CONTROL: the state of every index, computed from the events of the stream. Pure.

`fold(state, event, seq)` ignores a sequence it has seen, so delivery at least once changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from events.chain import GENESIS, link
from events.codec import decode_control
from events.edits import SetWeights
from events.errors import Corrupt, NotFound
from events.hinges import feature_of, is_hinge
from events.index_control import EditedIndex, IndexControl, Stamp, WeightsChange
from events.types import (
    ChangePublished,
    ChangeRefused,
    ControlEvent,
    IndexConfigured,
    IndexDeleted,
    MessageLost,
    Skipped,
)

# How many published drafts of an index are remembered, in case DRAFTS still has one of them.
MAX_PUBLISHED: Final = 1000


class ControlState(msgspec.Struct, frozen=True):
    """All indexes at one CONTROL sequence.

    indexes: by name
    chain: hash over every message up to `seq`; see `events.chain`
    """

    seq: int = 0
    indexes: Mapping[str, IndexControl] = MappingProxyType({})
    chain: str = GENESIS

    def index(self, name: str) -> IndexControl:
        """Return an index. Raises NotFound."""
        index = self.indexes.get(name)
        if index is None:
            names = ", ".join(sorted(self.indexes)) or "none yet"
            raise NotFound(
                f"there is no index {name[:80]!r}; there are: {names}", field="index", value=name, limit=names
            )
        return index


def fold_message(state: ControlState, data: bytes, seq: int) -> ControlState:
    """Fold a message of CONTROL as `fold` does, and continue the chain.

    data: the bytes stored at `seq`

    Raises Corrupt if the bytes are not an event, or if `seq` leaves a gap: no message ever leaves CONTROL.
    Raises LaterVersion if only a later version knows the event: the state before it is all that can be served.
    """
    if seq <= state.seq:
        return state
    if seq != state.seq + 1:
        raise Corrupt(f"CONTROL {seq} comes after {state.seq}: the messages between them are missing")
    return msgspec.structs.replace(fold(state, decode_control(data), seq), chain=link(state.chain, data))


def fold(state: ControlState, event: ControlEvent | Skipped, seq: int) -> ControlState:
    """Return the state after an event. A sequence that was folded before changes nothing.

    seq: CONTROL sequence of the event
    """
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
            # A change of an index that is gone lost the race against the deletion: it has no effect.
            if current is not None:
                indexes[event.index] = _edited(current, event, seq)
        case IndexDeleted():
            indexes.pop(event.index, None)
        case ChangeRefused() | MessageLost():
            pass
    return msgspec.structs.replace(state, seq=seq, indexes=MappingProxyType(indexes))


def control_hash(state: ControlState) -> str:
    """Return the SHA-256 of a state, in hex. Equal states have equal hashes, however they were reached."""
    return hashlib.sha256(_canonical.encode(state)).hexdigest()


def _configured(current: IndexControl | None, event: IndexConfigured, seq: int) -> IndexControl:
    """Return a new index, or the current one with other settings; features that stay keep their weights."""
    stamp = _stamp(event, seq)
    if current is None:
        blank = IndexControl(event.index, event.settings, {}, 0, seq, seq, seq, ())
        return _with_weights(blank, dict(event.default_weights), stamp)
    weights = {name: current.weights.get(name, value) for name, value in event.default_weights.items()}
    weights |= {
        name: value for name, value in current.weights.items() if is_hinge(name) and feature_of(name) in weights
    }
    configured = msgspec.structs.replace(current, settings=event.settings, settings_seq=seq, config_version=seq)
    if list(weights) == list(current.weights):
        return configured
    # The trial's weights are of features that are no longer the same.
    return _with_weights(msgspec.structs.replace(configured, trial=None), weights, stamp)


def _edited(current: IndexControl, event: ChangePublished, seq: int) -> IndexControl:
    """Return an index after all edits of a change. What no edit touches stays the same object: what others have
    prepared from it stays valid."""
    stamp = _stamp(event, seq)
    edited = EditedIndex.copy_of(current)
    parts = {edit.part for edit in event.edits}
    sets_weights = any(isinstance(edit, SetWeights) for edit in event.edits)
    if sets_weights:
        # The trial compares with weights that are no longer in force. An edit of this change may set another.
        edited.trial = None
    for edit in event.edits:
        edit.apply(edited, stamp)
    index = msgspec.structs.replace(
        current,
        config_version=seq,
        policy=edited.policy,
        published=_published(current.published, event),
        learning=edited.learning,
        trial=edited.trial,
    )
    if sets_weights:
        index = _with_weights(index, edited.weights, stamp)
    if "rules" in parts:
        index = msgspec.structs.replace(index, rules=MappingProxyType(edited.rules))
    if "segments" in parts:
        index = msgspec.structs.replace(index, segments=MappingProxyType(edited.segments))
    if "limits" in parts:
        locks = tuple(sorted(edited.locks))
        index = msgspec.structs.replace(index, bounds=MappingProxyType(edited.bounds), locks=locks)
    return index


def _published(before: Mapping[str, str], event: ChangePublished) -> Mapping[str, str]:
    """Return the drafts published last, with the one that a change was published from, if any, as the newest."""
    if not event.draft_event:
        return before
    others = [(draft, saved_by) for draft, saved_by in before.items() if draft != event.draft]
    return MappingProxyType(dict([*others, (event.draft, event.draft_event)][-MAX_PUBLISHED:]))


def _with_weights(current: IndexControl, weights: dict[str, float], stamp: Stamp) -> IndexControl:
    """Return an index with other weights, in a version of their own, and the change in its history."""
    before = current.weights
    changed = {
        name: (before.get(name), weights.get(name))
        for name in {**before, **weights}
        if before.get(name) != weights.get(name)
    }
    version = current.weights_version + 1
    who_and_why = stamp.actor, stamp.actor_verified, stamp.reason
    change = WeightsChange(version, stamp.seq, stamp.timestamp, *who_and_why, changed, weights)
    return msgspec.structs.replace(
        current,
        weights=MappingProxyType(weights),
        weights_version=version,
        config_version=stamp.seq,
        history=(*current.history, change),
    )


def _stamp(event: IndexConfigured | ChangePublished, seq: int) -> Stamp:
    return Stamp(seq, event.timestamp, event.actor, event.actor_verified, event.reason)


def _as_dict(value: Any) -> Any:
    """Encode what msgspec does not know: read-only mappings."""
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise NotImplementedError(f"{type(value)} in a CONTROL state")


_canonical: Final = msgspec.json.Encoder(enc_hook=_as_dict, order="deterministic")
