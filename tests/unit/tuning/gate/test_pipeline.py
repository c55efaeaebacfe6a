"""Gate, ramp and watch, step by step."""

from __future__ import annotations

import msgspec
import numpy as np

from tuning.arrays import ScoreArray
from tuning.gate.guard import PageOutcome
from tuning.gate.pipeline import MIN_COMPARED, RAMP, WATCHED, Pipeline


def gated(pipeline: Pipeline, values: ScoreArray) -> list[str]:
    steps = [pipeline.observe(PageOutcome("both", first=False, click_preference=float(value))) for value in values]
    return [step.kind for step in steps if step is not None]


def test_a_better_candidate_is_published_in_steps_and_a_bad_one_is_rolled_back() -> None:
    pipeline = Pipeline()
    assert pipeline.propose("learnt").kind == "proposed"
    assert pipeline.solo_share == 0.0
    assert gated(pipeline, np.full(MIN_COMPARED, 0.5)) == ["published"]
    assert pipeline.solo_share == RAMP[0][0]
    steps = [pipeline.observe(PageOutcome("new", first=False)) for _ in range(sum(n for _, n in RAMP))]
    assert [step.kind for step in steps if step is not None] == ["ramped", "ramped", "settled"]
    assert not pipeline.may_propose, "it is watched first"
    assert gated(pipeline, np.full(WATCHED, 0.0)) == []
    assert pipeline.may_propose
    assert gated(pipeline, np.full(200, -0.5)) == ["rolled_back"]
    assert pipeline.stage == "frozen"
    assert not pipeline.may_propose
    assert pipeline.observe(PageOutcome("both", click_preference=-1.0)) is None


def test_a_worse_candidate_is_given_up_and_few_comparisons_decide_nothing() -> None:
    pipeline = Pipeline()
    pipeline.propose("learnt")
    assert gated(pipeline, np.full(MIN_COMPARED - 1, 1.0)) == []
    assert all(pipeline.observe(PageOutcome("both", counted=False)) is None for _ in range(MIN_COMPARED)), (
        "nobody who counts"
    )
    pipeline.propose("learnt")
    assert gated(pipeline, np.full(MIN_COMPARED, -0.5)) == ["given_up"]
    assert pipeline.may_propose


def test_an_undecided_candidate_makes_way_each_time_later() -> None:
    pipeline = Pipeline()
    pipeline.propose("learnt")
    waited = []
    for _ in range(3):
        n = 0
        while not pipeline.may_propose:
            assert pipeline.observe(PageOutcome("both")) is None
            n += 1
        waited.append(n)
        pipeline.propose("learnt")
    assert waited == sorted(waited)
    assert waited[0] < waited[2], "each waits longer than the one before"


def test_a_restored_pipeline_decides_as_the_original_does() -> None:
    values = np.random.default_rng(3).uniform(-0.4, 0.6, 400)
    pipeline, restored = Pipeline(), Pipeline()
    pipeline.propose("learnt")
    gated(pipeline, values[:90])
    restored.restore(msgspec.msgpack.encode(pipeline.parts()))
    assert gated(pipeline, values[90:]) == gated(restored, values[90:]) == ["published"]
    assert (pipeline.evidence, pipeline.alarm) == (restored.evidence, restored.alarm)
