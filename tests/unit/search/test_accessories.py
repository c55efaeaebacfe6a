"""What goes with a thing comes after the thing, and does not say what a query is after."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import msgspec
import numpy as np
import pytest

from searchsvc.engines.protocol import Upsert
from searchsvc.state.serving_state import Measurements, ServingState
from tests.factories import engine, serving, upsert, vector
from tests.searching import hit_ids, search

HEADS = {"laptop": frozenset({"sleev"})}


def shop(folder: Path, *documents: Upsert, heads: bool = True, **weights: float) -> ServingState:
    state = serving(engine(folder, documents).snapshot(), **weights)
    measured = Measurements(neighbour_cut=-1.0, heads=HEADS if heads else {})
    return msgspec.structs.replace(state, measurements=MappingProxyType({"shop": measured}))


DOCUMENTS = (
    # By its words the sleeve is the best match: its title is the shortest.
    upsert("sleeve", "Laptop Sleeve", seed=1),
    upsert("black", "Acme laptop black", seed=2),
    upsert("grey", "Acme laptop grey", seed=2),
    upsert("bag", "Bag for laptop", seed=3),
)


@pytest.mark.parametrize("query", ["laptop", "laptops", "acme laptop 15"])
def test_things_come_before_what_goes_with_them(tmp_path: Path, query: str) -> None:
    assert set(hit_ids(search(shop(tmp_path, *DOCUMENTS), query).answer)[:2]) == {"black", "grey"}


def test_a_sleeve_that_is_asked_for_comes_first(tmp_path: Path) -> None:
    state = shop(tmp_path, *DOCUMENTS)
    assert hit_ids(search(state, "laptop sleeve").answer)[0] == "sleeve"
    assert hit_ids(search(state, "bag for laptop").answer)[0] == "bag"


def test_what_goes_with_a_thing_is_shown_where_there_is_nothing_else(tmp_path: Path) -> None:
    assert hit_ids(search(shop(tmp_path, DOCUMENTS[0]), "laptop").answer) == ["sleeve"]


def test_one_weight_turns_it_off_and_an_explanation_names_it(tmp_path: Path) -> None:
    answer = search(shop(tmp_path / "on", *DOCUMENTS), "laptop", explain=True).answer
    values = {hit.id: hit.explanation.features["accessory"].value for hit in answer.hits if hit.explanation}
    assert values == {"sleeve": 1.0, "bag": 1.0, "black": 0.0, "grey": 0.0}
    off = shop(tmp_path / "off", *DOCUMENTS, accessory=0.0, neighbourhood=0.0)
    assert hit_ids(search(off, "laptop").answer)[0] == "sleeve"


def test_accessories_do_not_say_what_a_query_is_after(tmp_path: Path) -> None:
    """The neighbourhood is that of the laptops, unless the nearest documents are accessories only."""
    state = shop(tmp_path, *DOCUMENTS)
    answer = search(state, "laptop", explain=True).answer
    near = {hit.id: hit.explanation.features["neighbourhood"].value for hit in answer.hits if hit.explanation}
    assert near["black"] == near["grey"] == max(near.values())
    alone = search(shop(tmp_path / "alone", DOCUMENTS[0], DOCUMENTS[3]), "laptop", explain=True).answer
    assert all(hit.explanation and np.isfinite(hit.score) for hit in alone.hits)
    assert not np.allclose(vector(1), vector(2))
