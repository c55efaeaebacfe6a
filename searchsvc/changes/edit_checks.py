"""Whether edits can be published: each alone, on the documents that there are, and all together on an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from events.edits import (
    DeleteRule,
    DeleteSegment,
    Edit,
    SetLearning,
    SetLimits,
    SetPolicy,
    SetRule,
    SetSegment,
    SetTrial,
    SetWeights,
)
from events.errors import InvalidInput, require
from events.index_control import IndexControl
from events.learning import check_learning, check_trial
from events.policies import check_policy
from events.rules import MAX_RULES, check_rule, check_rule_id
from events.segments import MAX_SEGMENTS, check_segment
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.rules.checks import (
    check_against_index,
    check_condition_words,
    check_conditions_against_index,
    check_no_synonym_cycle,
    check_words,
    needs_documents,
)
from searchsvc.rules.rulebook import Rulebook
from tuning.weights import check_limits, check_weights


def check_alone(edit: Edit) -> None:
    """Raise InvalidInput where an edit cannot be honoured, whatever the index is."""
    match edit:
        case SetRule(id=rule_id, rule=rule):
            check_rule_id(rule_id)
            check_rule(rule)
            check_words(rule)
        case SetSegment(id=segment_id, segment=segment):
            check_rule_id(segment_id, "segment")
            check_segment(segment)
            check_condition_words(segment.conditions)
        case SetPolicy(policy=policy):
            check_policy(policy)
        case SetLearning(learning=learning):
            check_learning(learning)
        case SetTrial(trial=trial) if trial is not None:
            check_trial(trial)
        case SetWeights() | SetLimits() | DeleteRule() | DeleteSegment() | SetTrial():
            pass


def names_documents(edit: Edit) -> bool:
    """Whether only the index can tell if an edit can be honoured."""
    match edit:
        case SetRule(rule=rule):
            return needs_documents(rule)
        case SetSegment(segment=segment):
            return bool(segment.conditions.filters)
        case SetWeights() | SetLimits() | DeleteRule() | DeleteSegment() | SetPolicy() | SetLearning() | SetTrial():
            return False


def check_on_documents(edit: Edit, snapshot: EngineSnapshot) -> None:
    """Raise InvalidInput where an edit names what no document has. May ask the engine: not for the event loop."""
    match edit:
        case SetRule(rule=rule):
            check_against_index(rule, snapshot)
        case SetSegment(segment=segment):
            check_conditions_against_index(segment.conditions, snapshot)
        case SetWeights() | SetLimits() | DeleteRule() | DeleteSegment() | SetPolicy() | SetLearning() | SetTrial():
            pass


def check_within(before: IndexControl, after: IndexControl, edits: Sequence[Edit], book: Rulebook) -> None:
    """Raise InvalidInput where edits of an index do not go together, or with what is there. book: of the index before
    them."""
    # A weight beyond new bounds is what is wrong, not the bounds.
    for edit in sorted(edits, key=lambda one: not isinstance(one, SetWeights)):
        match edit:
            case SetWeights(weights=weights):
                check_weights(weights, before.weights, after.bounds)
            case SetLimits():
                check_limits(edit.bounds, edit.locks, after.weights)
            case DeleteRule(id=rule_id):
                before.rule(rule_id)
            case DeleteSegment(id=segment_id):
                before.segment(segment_id)
            case SetTrial(trial=trial) if trial is not None:
                # What was in force may be beyond bounds that came since.
                bounds = after.bounds if trial.stage == "gate" else {}
                check_weights(trial.weights, before.weights, bounds, "trial.weights")
                if trial.ramp is not None:
                    check_weights(trial.ramp.weights, before.weights, {}, "trial.ramp.weights")
            case SetRule() | SetSegment() | SetPolicy() | SetLearning() | SetTrial():
                pass
    require(len(after.rules) <= MAX_RULES, "rule", len(after.rules), f"at most {MAX_RULES} rules")
    n_segments = len(after.segments)
    require(n_segments <= MAX_SEGMENTS, "segment", n_segments, f"at most {MAX_SEGMENTS} segments")
    if after.segments is not before.segments or after.bounds != before.bounds:
        for segment_id, stored in after.segments.items():
            # Features may have gone since a segment was written; bounds are what no search goes beyond.
            held = {name: value for name, value in stored.segment.weights.items() if name in after.weights}
            if held:
                check_weights(held, after.weights, after.bounds, f"segments.{segment_id}.weights")
    written = [edit.id for edit in edits if isinstance(edit, SetRule)]
    if written:
        later = book.with_rules(after.rules)
        for rule_id in written:
            if rule_id in after.rules:
                check_no_synonym_cycle(after.rules[rule_id], later)


@contextmanager
def under(path: str) -> Iterator[None]:
    """Errors within name their member as one of this path."""
    try:
        yield
    except InvalidInput as refused:
        field = f"{path}.{refused.field}" if refused.field else path
        refused.message = f"{path}: {refused.message}"
        refused.args = (refused.message,)
        refused.field = field
        raise
