"""Which searches moved a weight."""

from __future__ import annotations

import msgspec
import numpy as np

from tuning.learners.provenance import N_KEPT, Provenance

NAMES = ("a", "b", "c")


def test_the_strongest_pulls_of_each_direction_are_kept_in_order() -> None:
    pulls = np.random.default_rng(1).standard_normal((300, 3))
    pulls[:, 2] = np.abs(pulls[:, 2])
    provenance = Provenance(NAMES)
    for n, changes in enumerate(pulls):
        provenance.observe(f"q{n}", changes)
    for sign in (1.0, -1.0):
        searches = provenance.searches(dict.fromkeys(NAMES, sign))
        for column, name in enumerate(NAMES[:2]):
            assert list(searches[name]) == [f"q{n}" for n in np.argsort(-sign * pulls[:, column])[:N_KEPT]]
    assert "c" not in provenance.searches({"c": -1.0}), "nothing pulled it that way"
    assert provenance.searches({"a": 0.0, "gone": 1.0}) == {}


def test_provenance_can_be_restored_and_reset() -> None:
    pulls = np.random.default_rng(2).standard_normal((60, 3))
    provenance, restored = Provenance(NAMES), Provenance(NAMES)
    for n, changes in enumerate(pulls[:30]):
        provenance.observe(f"q{n}", changes)
    kind = list[list[list[tuple[float, str]]]]
    restored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(provenance.parts()), type=kind))
    for n, changes in enumerate(pulls[30:], start=30):
        provenance.observe(f"q{n}", changes)
        restored.observe(f"q{n}", changes)
    directions = {"a": 1.0, "b": -1.0}
    assert provenance.searches(directions) == restored.searches(directions)
    provenance.reset()
    assert provenance.searches(directions) == {}
