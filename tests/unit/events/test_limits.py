"""What CONTROL keeps of limits of weights."""

from __future__ import annotations

from events.control import ControlState, fold
from events.edits import SetLimits
from events.types import ChangePublished, IndexConfigured
from tests.factories import NOW, SETTINGS
from tuning.features import default_weights


def test_limits_are_folded_by_feature_name() -> None:
    configured = IndexConfigured(
        id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
    )
    limits = SetLimits({"cosine": (0.0, 5.0), "phrase": (0.0, 1.0)}, {"cosine": True, "phrase": True})
    state = fold(ControlState(), configured, 1)
    for seq, edit in enumerate((limits, SetLimits({"phrase": None}, {"cosine": False})), start=2):
        state = fold(state, ChangePublished(id=f"e{seq}", timestamp=NOW, index="shop", edits=(edit,)), seq)
    index = state.index("shop")
    assert (dict(index.bounds), index.locks) == ({"cosine": (0.0, 5.0)}, ("phrase",))
    assert index.weights_version == 1
