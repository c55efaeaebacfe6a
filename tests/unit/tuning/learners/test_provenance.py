"""Which searches moved a weight."""

from __future__ import annotations

import msgspec
import numpy as np

from tuning.learners.provenance import N_KEPT, Provenance

NAMES = ("a", "b", "c")


def test_the_strongest_pulls_of_each_direction_are_kept_in_order() -> None:
    pulls = np.random.default_rng(1).standard_normal((300, 3))
    pulls[:, 2] = np.abs(pulls[:, 2])
    kept = Provenance(NAMES)
    for n, moved in enumerate(pulls):
        kept.observe(f"q{n}", moved)
    for way in (1.0, -1.0):
        found = kept.searches(dict.fromkeys(NAMES, way))
        for at, name in enumerate(NAMES[:2]):
            assert list(found[name]) == [f"q{n}" for n in np.argsort(-way * pulls[:, at])[:N_KEPT]]
    assert "c" not in kept.searches({"c": -1.0}), "nothing pulled it that way"
    assert kept.searches({"a": 0.0, "gone": 1.0}) == {}


def test_provenance_can_be_restored_and_reset() -> None:
    pulls = np.random.default_rng(2).standard_normal((60, 3))
    one, other = Provenance(NAMES), Provenance(NAMES)
    for n, moved in enumerate(pulls[:30]):
        one.observe(f"q{n}", moved)
    kind = list[list[list[tuple[float, str]]]]
    other.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(one.parts()), type=kind))
    for n, moved in enumerate(pulls[30:], start=30):
        one.observe(f"q{n}", moved)
        other.observe(f"q{n}", moved)
    wanted = {"a": 1.0, "b": -1.0}
    assert one.searches(wanted) == other.searches(wanted)
    one.reset()
    assert one.searches(wanted) == {}
