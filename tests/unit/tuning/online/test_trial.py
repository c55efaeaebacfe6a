"""Following the trial that CONTROL names, and counting its pages."""

from __future__ import annotations

import msgspec
import numpy as np

from events.learning import Learning, Trial
from events.types import InterleavedRanking
from tests.factories import ranking
from tests.simulation.shop import WEIGHTS, index
from tuning.clicks.pages import Page
from tuning.gate.pipeline import RAMP
from tuning.online.trial import TrialObserver

GATE = index(trial=Trial("t", "gate", WEIGHTS, 0.0))
ON_RAMP = index(trial=Trial("t", "ramp", WEIGHTS, RAMP[0][0]))
NOT_CLICKED = np.zeros(3, np.bool_)


def page(number: int, **changes: object) -> Page:
    interleaved = InterleavedRanking(("a", "b", "c"), ("c", "b", "a"), (True,) * 5)
    shown = msgspec.structs.replace(ranking(f"q{number}"), trial="t", interleaving=interleaved, user=f"u{number}")
    return Page(msgspec.structs.replace(shown, **changes))


def test_the_observer_takes_the_stage_that_control_names() -> None:
    observer = TrialObserver()
    stages = []
    for control in (GATE, ON_RAMP, index(), index(learning=Learning(mode="automatic", frozen="alarm"))):
        observer.follow(control)
        stages.append((observer.trial_id, observer.pipeline.stage))
    assert stages == [("t", "gate"), ("t", "ramp"), ("", "idle"), ("", "frozen")]


def test_pages_of_another_trial_or_of_other_weights_do_not_count() -> None:
    observer = TrialObserver()
    observer.follow(ON_RAMP)
    for number in range(RAMP[0][1] + 1):
        for changes in ({"trial": ""}, {"trial": "another"}, {"weights_version": 7}, {"config_version": 0}):
            assert observer.observe(page(number, **changes), NOT_CLICKED, ON_RAMP) is None
    steps = [observer.observe(page(number), NOT_CLICKED, ON_RAMP) for number in range(RAMP[0][1])]
    assert [step.kind for step in steps if step is not None] == ["ramped"]


def test_after_a_decision_pages_count_once_control_has_taken_it() -> None:
    observer = TrialObserver()
    observer.follow(ON_RAMP)
    for number in range(RAMP[0][1]):
        observer.observe(page(number), NOT_CLICKED, ON_RAMP)
    later = [observer.observe(page(number), NOT_CLICKED, ON_RAMP) for number in range(RAMP[1][1])]
    assert later == [None] * RAMP[1][1]
    second = index(trial=Trial("t", "ramp", WEIGHTS, RAMP[1][0]))
    observer.follow(second)
    # One user's pages: all of them are interleaved, which would raise an alarm if they counted for the shares.
    steps = [observer.observe(page(number, user="anna"), NOT_CLICKED, second) for number in range(RAMP[1][1])]
    assert [step.kind for step in steps if step is not None] == ["ramped"]


def test_a_restored_observer_continues_the_trial() -> None:
    observer, restored = TrialObserver(), TrialObserver()
    observer.follow(ON_RAMP)
    for number in range(RAMP[0][1] - 1):
        observer.observe(page(number), NOT_CLICKED, ON_RAMP)
    restored.restore(observer.parts())
    restored.follow(ON_RAMP)
    step = restored.observe(page(RAMP[0][1]), NOT_CLICKED, ON_RAMP)
    assert step is not None
    assert step == observer.observe(page(RAMP[0][1]), NOT_CLICKED, ON_RAMP)
