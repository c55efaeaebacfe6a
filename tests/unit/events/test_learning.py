"""Which learning settings and trials are allowed."""

from __future__ import annotations

import math
from datetime import timedelta

import msgspec
import pytest

from events.errors import InvalidInput
from events.learning import Ignored, Learning, RampTrial, Trial, check_learning, check_trial, resumed_ramp
from tests.factories import NOW

RAMP = RampTrial("good", {"a": 1.0}, 0.5, "no harm", {"a": ("q1",)})
HOUR = timedelta(hours=1)


def test_a_window_covers_its_first_moment_and_not_its_last() -> None:
    window = Ignored(NOW, NOW + HOUR, "u1")
    assert window.covers("u1", NOW)
    assert not window.covers("u1", NOW + HOUR)
    assert not window.covers("u1", NOW - HOUR)
    assert not window.covers("u2", NOW)
    assert Ignored(NOW, NOW + HOUR).covers("u2", NOW)


@pytest.mark.parametrize(
    ("learning", "field"),
    [
        (Learning(max_boost=0.9), "max_boost"),
        (Learning(max_boost=math.nan), "max_boost"),
        (Learning(exploration=0.6), "exploration"),
        (Learning(values={"look": 1.0}), "values.look"),
        (Learning(values={"click": -1.0}), "values.click"),
        (Learning(ignored=(Ignored(NOW, NOW),)), "ignored[0].until"),
        (Learning(ignored=(Ignored(NOW, NOW + HOUR, reason="x" * 1001),)), "ignored[0].reason"),
        (Learning(families=("brand", "brand")), "families[1]"),
        (Learning(families=("a", "b", "c", "d", "e")), "families"),
        (Learning(judgments={" ": {"a": 1}}), "judgments. "),
        (Learning(judgments={"lamp": {"a": 0}}), "judgments.lamp"),
        (Learning(judgments={"lamp": {"a": 11}}), "judgments.lamp.a"),
        (Learning(frozen="x" * 1001), "frozen"),
    ],
)
def test_invalid_settings_are_refused_by_field(learning: Learning, field: str) -> None:
    check_learning(Learning(judgments={"lamp": {"a": 10}}, families=("brand",), ignored=(Ignored(NOW, NOW + HOUR),)))
    with pytest.raises(InvalidInput) as refused:
        check_learning(learning)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ""}, "trial.id"),
        ({"solo_share": 1.1}, "trial.solo_share"),
        ({"stage": "ramp"}, "trial.ramp"),
        ({"ramp": msgspec.structs.replace(RAMP, solo_share=-0.1)}, "trial.solo_share"),
        ({"moved_by": {"a": ("q",) * 1001}}, "trial.moved_by"),
        ({"decision": "x" * 1001}, "trial.decision"),
    ],
)
def test_invalid_trials_are_refused_by_field(changes: dict[str, object], field: str) -> None:
    trial = Trial("new", "gate", {"a": 2.0}, 0.0, ramp=RAMP)
    check_trial(trial)
    with pytest.raises(InvalidInput) as refused:
        check_trial(msgspec.structs.replace(trial, **changes))
    assert refused.value.field == field


def test_a_suspended_ramp_resumes_as_it_was() -> None:
    assert resumed_ramp(RAMP, 0.9) == Trial(
        "good", "ramp", {"a": 1.0}, 0.5, "no harm", {"a": ("q1",)}, judged_baseline=0.9
    )
