"""Edits that cannot be published: by themselves, on the documents, or together on an index."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.edits import (
    DeleteRule,
    DeleteSegment,
    Edit,
    SetLearning,
    SetLimits,
    SetRule,
    SetSegment,
    SetTrial,
    SetWeights,
)
from events.errors import InvalidInput, NotFound
from events.learning import Learning, RampTrial, Trial
from events.rules import BoostAction, Conditions, PinAction, QueryPattern, ReplaceWordsAction, Rule, SynonymAction
from events.segments import Segment
from searchsvc.changes.edit_checks import check_alone, check_on_documents, check_together, error_path, names_documents
from searchsvc.rules.costs import MAX_SYNONYM_PAIRS
from searchsvc.rules.rulebook import Rulebooks
from tests.factories import engine, index_after, upsert
from tests.rules import made_up_words

PIN, LOST_PIN = Rule((PinAction("d1", 1),)), Rule((PinAction("lost", 1),))
TRADE = Conditions(user_segment="trade")


def synonym(*words: str, to: str) -> Rule:
    return Rule((SynonymAction(of=words, to=(to,)),))


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (SetRule("r", Rule((ReplaceWordsAction(of="!!", to="shoe"),))), "actions[0].from"),
        (SetRule("r", Rule((BoostAction(2.0, "   "),))), "actions[0].filter"),
        (
            SetSegment("s", Segment(Conditions(query=QueryPattern("contains", "!!")), {"cosine": 1.0})),
            "conditions.query.text",
        ),
        (SetLearning(Learning(exploration=0.9)), "exploration"),
    ],
)
def test_an_edit_that_no_index_could_honour_names_its_member(edit: Edit, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_alone(edit)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (SetRule("r", PIN), True),
        (SetRule("r", Rule((ReplaceWordsAction(of="shoe", to="boot"),))), False),
        (SetSegment("s", Segment(Conditions(filters="votes>3"), {})), True),
        (SetSegment("s", Segment(TRADE, {})), False),
        (SetWeights({"cosine": 1.0}), False),
        (DeleteRule("r"), False),
    ],
)
def test_only_what_names_documents_is_checked_on_them(edit: Edit, expected: bool) -> None:
    assert names_documents(edit) == expected


def test_what_no_document_has_is_refused(tmp_path: Path) -> None:
    snapshot = engine(tmp_path, [upsert("d1", "red shoe", votes=3)]).snapshot()
    for edit in (SetRule("r", PIN), SetSegment("s", Segment(Conditions(filters="votes>3"), {})), DeleteRule("r")):
        check_on_documents(edit, snapshot)
    for edit, field in (
        (SetRule("r", LOST_PIN), "actions[0].document_id"),
        (SetSegment("s", Segment(Conditions(filters="nope:1"), {})), "conditions.filters"),
    ):
        with pytest.raises(InvalidInput) as refused:
            check_on_documents(edit, snapshot)
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("before", "edits", "error", "field"),
    [
        ([], [SetWeights({"nope": 1.0})], InvalidInput, "weights.nope"),
        ([], [SetWeights({"cosine": 101.0})], InvalidInput, "weights.cosine"),
        # Where a weight is outside of new bounds, the weight is named, in whatever order they are.
        ([], [SetLimits({"cosine": (0.0, 5.0)}), SetWeights({"cosine": 6.0})], InvalidInput, "weights.cosine"),
        ([SetWeights({"cosine": 6.0})], [SetLimits({"cosine": (0.0, 5.0)})], InvalidInput, "bounds.cosine"),
        ([], [SetLimits(locks={"nope": True})], InvalidInput, "locks.nope"),
        ([], [DeleteRule("r")], NotFound, "rule"),
        ([], [DeleteSegment("s")], NotFound, "segment"),
        (
            [SetSegment("s", Segment(TRADE, {"cosine": 0.5})), SetWeights({"cosine": 2.0})],
            [SetLimits({"cosine": (1.0, 5.0)})],
            InvalidInput,
            "segments.s.weights.cosine",
        ),
        ([], [SetTrial(Trial("t", "gate", {"nope": 1.0}, 0.5))], InvalidInput, "trial.weights.nope"),
        (
            [],
            [SetTrial(Trial("t", "gate", {"cosine": 1.0}, 0.5, ramp=RampTrial("u", {"nope": 1.0}, 0.5)))],
            InvalidInput,
            "trial.ramp.weights.nope",
        ),
        (
            [SetRule("r1", synonym("shoe", to="boot"))],
            [SetRule("r2", synonym("boot", to="shoe"))],
            InvalidInput,
            "actions[0].from[0]",
        ),
    ],
)
def test_edits_that_do_not_fit_the_index_or_each_other_are_refused(
    before: list[Edit], edits: list[Edit], error: type[InvalidInput], field: str
) -> None:
    index = index_after(before)
    with pytest.raises(error) as refused:
        check_together(index, index_after(before, edits), edits, Rulebooks().get(index))
    assert refused.value.field == field


def test_an_index_may_have_so_many_pairs_of_synonyms_and_no_more() -> None:
    texts = [made_up_words(chr(ord("a") + i), 400) for i in range(10)]
    phrases = [word for words in texts for word in words][: MAX_SYNONYM_PAIRS // 50]
    to = made_up_words("z", 50)
    edit = SetRule(
        "r", Rule(tuple(SynonymAction(of=tuple(phrases[i : i + 50]), to=to) for i in range(0, len(phrases), 50)))
    )
    index, more = index_after(), SetRule("s", synonym("one", to="more"))
    check_together(index, index_after([edit]), [edit], Rulebooks().get(index))
    with pytest.raises(InvalidInput) as refused:
        check_together(index, index_after([edit, more]), [edit, more], Rulebooks().get(index))
    assert (refused.value.field, refused.value.value) == ("actions", MAX_SYNONYM_PAIRS + 1)
    assert "at most 200000 pairs" in str(refused.value.limit)


def test_weights_of_before_a_trial_may_be_outside_of_bounds_that_came_since() -> None:
    limits: list[Edit] = [SetLimits({"cosine": (1.5, 5.0)}), SetWeights({"cosine": 2.0})]
    ramp: list[Edit] = [SetTrial(Trial("t", "ramp", {"cosine": 0.5}, 0.5))]
    index = index_after(limits)
    check_together(index, index_after(limits, ramp), ramp, Rulebooks().get(index))
    gate: list[Edit] = [SetTrial(Trial("t", "gate", {"cosine": 0.5}, 0.5))]
    with pytest.raises(InvalidInput, match=r"trial\.weights\.cosine"):
        check_together(index, index_after(limits, gate), gate, Rulebooks().get(index))


def test_a_path_is_put_before_the_message_and_the_field_of_an_error() -> None:
    with pytest.raises(NotFound) as refused, error_path("edits[3]"):
        raise NotFound("there is no rule", field="rule")
    assert (refused.value.field, refused.value.message, str(refused.value)) == (
        "edits[3].rule",
        "edits[3]: there is no rule",
        "edits[3]: there is no rule",
    )
    with pytest.raises(InvalidInput) as refused_whole, error_path("edits[3]"):
        raise InvalidInput("no")
    assert refused_whole.value.field == "edits[3]"
