"""What `tuning show` prints."""

from __future__ import annotations

from datetime import timedelta

from events.learning import Ignored, Learning
from searchsvc.cli.tuning import describe_learning
from searchsvc.http.shapes.learning import LearningInfo
from tests.factories import NOW


def test_without_a_learner_the_settings_are_shown() -> None:
    learning = Learning(
        mode="suggest",
        frozen="a guard's alarm",
        judgments={"lamp": {"1": 3}},
        ignored=(Ignored(since=NOW, until=NOW + timedelta(days=1), reason="bots"),),
    )
    lines = describe_learning(LearningInfo("shop", learning, None, None))
    assert lines[0] == "mode       suggest, frozen: a guard's alarm"
    assert "1 queries that new weights must not answer worse" in lines[1]
    assert lines[2].endswith("all bots")
    assert len(lines) == 3
