"""Whether edits can be published: each by itself, on the documents of the index, and all together on the index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from events.edits import DeleteRule, DeleteSegment, Edit, SetLimits, SetRule, SetSegment, SetTrial, SetWeights
from events.errors import InvalidInput, require
from events.index_control import IndexControl, StoredRule
from events.learning import Trial
from events.rules import MAX_RULES
from events.segments import MAX_SEGMENTS
from searchsvc.changes.trial_limits import locked_weights
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.rules.checks import (
    check_against_index,
    check_condition_words,
    check_conditions_against_index,
    check_no_synonym_cycle,
    check_words,
    needs_documents,
)
from searchsvc.rules.cost_checks import check_costs
from searchsvc.rules.costs import MAX_SYNONYM_PAIRS, n_synonym_pairs
from searchsvc.rules.rulebook import Rulebook
from tuning.weights import check_limits, check_weights


def check_alone(edit: Edit) -> None:
    """Raise InvalidInput if an edit is not valid for any index."""
    edit.check()
    if isinstance(edit, SetRule):
        check_words(edit.rule)
    elif isinstance(edit, SetSegment):
        check_condition_words(edit.segment.conditions)


def names_documents(edit: Edit) -> bool:
    """Return whether `check_on_documents` has something to check."""
    if isinstance(edit, SetRule):
        return needs_documents(edit.rule)
    return isinstance(edit, SetSegment) and bool(edit.segment.conditions.scope or edit.segment.conditions.filters)


def check_on_documents(edit: Edit, snapshot: EngineSnapshot) -> None:
    """Raise InvalidInput if an edit names what no document has. May ask the engine: not for the event loop."""
    if isinstance(edit, SetRule):
        check_against_index(edit.rule, snapshot)
    elif isinstance(edit, SetSegment):
        check_conditions_against_index(edit.segment.conditions, snapshot)


def check_together(before: IndexControl, after: IndexControl, edits: Sequence[Edit], rulebook: Rulebook) -> None:
    """Raise InvalidInput if edits contradict each other or the index.

    before: the index without the edits
    after: the index with them
    rulebook: of `before`
    """
    # Weights first: if a weight is outside of new bounds, the error names the weight.
    for edit in sorted(edits, key=lambda edit: not isinstance(edit, SetWeights)):
        _check_on_index(edit, before, after)
    require(len(after.rules) <= MAX_RULES, "rule", len(after.rules), f"at most {MAX_RULES} rules")
    n_segments = len(after.segments)
    require(n_segments <= MAX_SEGMENTS, "segment", n_segments, f"at most {MAX_SEGMENTS} segments")
    if after.segments is not before.segments or after.bounds != before.bounds:
        _check_segment_weights(after)
    written = [edit.id for edit in edits if isinstance(edit, SetRule)]
    if written:
        _check_rules(written, after.rules, rulebook)


def _check_on_index(edit: Edit, before: IndexControl, after: IndexControl) -> None:
    """Raise InvalidInput if one of several edits does not fit the index."""
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
            # The previous weights may be outside of bounds that were set since.
            bounds = after.bounds if trial.stage == "gate" else {}
            check_weights(trial.weights, before.weights, bounds, "trial.weights")
            if trial.stage == "gate":
                _check_no_locked_weight(trial, after)
            if trial.ramp is not None:
                check_weights(trial.ramp.weights, before.weights, {}, "trial.ramp.weights")
        case _:
            pass


def _check_no_locked_weight(trial: Trial, index: IndexControl) -> None:
    """Raise InvalidInput if a candidate moves a weight that was locked while it was made."""
    for name in locked_weights(index, trial.weights):
        weight, limit = trial.weights.get(name, 0.0), f"{index.weights.get(name, 0.0):g}: the weight is locked"
        message = f"trial.weights.{name} is {weight:g}; allowed: {limit}"
        raise InvalidInput(message, field=f"trial.weights.{name}", value=weight, limit=limit)


def _check_segment_weights(index: IndexControl) -> None:
    """Raise InvalidInput if a segment's weight is outside of the bounds, which hold for every search."""
    for segment_id, stored in index.segments.items():
        # Features may have gone since a segment was written.
        weights = {name: value for name, value in stored.segment.weights.items() if name in index.weights}
        if weights:
            check_weights(weights, index.weights, index.bounds, f"segments.{segment_id}.weights")


def _check_rules(rule_ids: Sequence[str], rules: Mapping[str, StoredRule], rulebook: Rulebook) -> None:
    """Raise InvalidInput if the one-way synonyms of a written rule lead back to themselves, or it costs too much."""
    n_pairs = n_synonym_pairs(stored.rule for stored in rules.values())
    n_before = n_synonym_pairs(stored.rule for stored in rulebook.rules.values())
    limit = f"at most {MAX_SYNONYM_PAIRS} pairs of a phrase and a synonym among all rules"
    require(n_pairs <= max(MAX_SYNONYM_PAIRS, n_before), "actions", n_pairs, limit)
    after = rulebook.with_rules(rules)
    for rule_id in rule_ids:
        if rule_id in rules:
            check_no_synonym_cycle(rules[rule_id], after)
            check_costs(rules[rule_id], rulebook, after)


@contextmanager
def error_path(path: str) -> Iterator[None]:
    """Prefix the message and the field of an InvalidInput that is raised within with a path."""
    try:
        yield
    except InvalidInput as error:
        error.field = f"{path}.{error.field}" if error.field else path
        error.message = f"{path}: {error.message}"
        error.args = (error.message,)
        raise
