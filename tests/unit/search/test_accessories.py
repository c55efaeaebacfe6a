"""What goes with a thing comes after the thing, and does not say what a query is after."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest

from searchsvc.engines.protocol import Upsert
from searchsvc.search.answer import SearchOutcome
from searchsvc.state.serving_state import Measurements, ServingState
from tests.factories import engine, serving, upsert, vector
from tests.searching import hit_ids, search

HEADS = {"laptop": frozenset({"sleev"})}


def shop(folder: Path, *documents: Upsert, **weights: float) -> ServingState:
    state = serving(engine(folder, documents).snapshot(), **weights)
    measured = Measurements(neighbour_cut=-1.0, heads=HEADS)
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


def cosines_with_the_neighbourhood(outcome: SearchOutcome) -> dict[str, float]:
    """Return by id the cosine of each hit with the mean of the nearest documents, as far as these are trusted."""
    scale = next(scale for scale in outcome.shown.scales if scale.feature == "neighbourhood")
    values = {hit.id: hit.explanation.features["neighbourhood"].value for hit in outcome.answer.hits if hit.explanation}
    trust = outcome.answer.vector_trust or 0.0
    return {document_id: value / trust * scale.unit + scale.lowest for document_id, value in values.items()}


def test_accessories_do_not_say_what_a_query_is_after(tmp_path: Path) -> None:
    """Both laptops have the same vector: that is the mean."""
    near = cosines_with_the_neighbourhood(search(shop(tmp_path, *DOCUMENTS), "laptop", explain=True))
    assert near["black"] == near["grey"] == pytest.approx(1.0, abs=0.01)
    assert near["sleeve"] == pytest.approx(float(vector(1) @ vector(2)), abs=0.02)


def test_accessories_say_it_where_all_that_is_near_are_accessories(tmp_path: Path) -> None:
    alone = cosines_with_the_neighbourhood(search(shop(tmp_path, DOCUMENTS[0]), "laptop", explain=True))
    assert alone["sleeve"] == pytest.approx(1.0, abs=0.01)
