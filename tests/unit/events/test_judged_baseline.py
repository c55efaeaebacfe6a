"""The judged baseline of a trial after an edit of the index."""

from __future__ import annotations

import msgspec

from events.control import ControlState, fold
from events.edits import Edit, SetLearning, SetTrial
from events.learning import Learning, Trial
from events.types import ChangePublished, IndexConfigured
from tests.factories import NOW, SETTINGS
from tuning.features import default_weights


def test_other_judgments_reset_the_judged_baseline_of_a_trial() -> None:
    configured = IndexConfigured(
        id="c", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
    )
    state = fold(ControlState(), configured, 1)
    judged = Learning(mode="automatic", judgments={"lamp": {"a": 1}})
    with_trial = SetTrial(Trial("t", "ramp", {}, 0.3, judged_baseline=0.9))
    steps: list[tuple[list[Edit], float]] = [
        ([SetLearning(judged), with_trial], 0.9),
        ([SetLearning(msgspec.structs.replace(judged, max_boost=1.5))], 0.9),
        ([SetLearning(msgspec.structs.replace(judged, judgments={}))], 0.0),
    ]
    for seq, (edits, baseline) in enumerate(steps, start=2):
        state = fold(state, ChangePublished(id=f"e{seq}", timestamp=NOW, index="shop", edits=tuple(edits)), seq)
        trial = state.index("shop").trial
        assert trial is not None
        assert trial.judged_baseline == baseline
