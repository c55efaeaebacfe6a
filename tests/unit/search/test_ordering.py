"""How words and vectors share in the order of hits."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchsvc.engines.protocol import EngineSnapshot
from tests.factories import engine, serving, upsert, vector
from tests.searching import hit_ids, search

SEEDS = range(1000, 4000)
# Of vectors that are near to that of a query which ends in 7.
NEAR_SEEDS = [seed for seed in SEEDS if vector(seed) @ vector(7) > 0.55][:10]


def sleeves_and_notebooks(folder: Path, low: float, high: float) -> tuple[EngineSnapshot, set[str]]:
    """Return an index for the query "laptop 7", and the ids of its notebooks.

    Sleeves contain its word and have cosines between `low` and `high`; notebooks are near and contain no word of it.
    """
    half_near_seeds = [seed for seed in SEEDS if low < vector(seed) @ vector(7) < high][:30]
    far_seeds = half_near_seeds + [seed for seed in SEEDS if -0.5 < vector(seed) @ vector(7) < 0.1][:60]
    words = [("laptop sleeve", "for a laptop")] * 30 + [("garden chair", "wood")] * 60
    far = [upsert(f"f{i:02d}", *pair, seed=seed) for i, (pair, seed) in enumerate(zip(words, far_seeds, strict=True))]
    notebooks = [upsert(f"n{i}", "notebook", "portable", seed=seed) for i, seed in enumerate(NEAR_SEEDS)]
    return engine(folder, [*far, *notebooks]).snapshot(), {notebook.id for notebook in notebooks}


def test_the_neighbourhood_lifts_what_is_like_the_nearest(tmp_path: Path) -> None:
    snapshot, near = sleeves_and_notebooks(tmp_path, 0.2, 0.45)
    answer = search(serving(snapshot), "laptop 7", explain=True, limit=100).answer
    values = {hit.id: hit.explanation.features["neighbourhood"].value for hit in answer.hits if hit.explanation}
    assert min(values[name] for name in near) > max(value for name, value in values.items() if name not in near)
    first = answer.hits[0]
    assert first.explanation is not None
    parts = sum(share.contribution for share in first.explanation.features.values())
    assert first.score == pytest.approx(parts)
    # A merchandiser moves it as any weight.
    lifted = search(serving(snapshot, neighbourhood=30.0), "laptop 7").answer
    assert set(hit_ids(lifted)) == near


def test_features_of_vectors_are_multiplied_by_vector_trust(tmp_path: Path) -> None:
    snapshot, near = sleeves_and_notebooks(tmp_path, 0.08, 0.14)
    both = search(serving(snapshot), "laptop 7", explain=True, limit=100)
    assert both.answer.vector_trust is not None
    assert 0.1 < both.answer.vector_trust < 0.9
    scale = next(scale for scale in both.shown.scales if scale.feature == "cosine")
    values = {hit.id: hit.explanation.features["cosine"].value for hit in both.answer.hits if hit.explanation}
    assert near <= values.keys()
    for document_id, seed in zip(sorted(near), NEAR_SEEDS, strict=True):
        scaled = (float(vector(seed) @ vector(7)) - scale.lowest) / scale.unit
        assert values[document_id] == pytest.approx(both.answer.vector_trust * scaled, abs=0.02)


def test_untrusted_vectors_change_neither_order_nor_total(tmp_path: Path) -> None:
    """Documents that contain the words are no nearer to the query than others."""
    documents = [upsert(f"d{i:03d}", "red shoe" if i % 4 == 0 else "blue hat", "text", seed=i) for i in range(200)]
    snapshot = engine(tmp_path, documents).snapshot()
    served = serving(snapshot)
    answers = [search(served, f"red shoe {i}", explain=True).answer for i in range(1000, 1040)]
    assert sum((answer.vector_trust or 0.0) < 0.01 for answer in answers) > 25
    answer = next(answer for answer in answers if answer.total == 50)
    assert answer.vector_trust == 0.0
    assert hit_ids(answer) == [f"d{i:03d}" for i in range(0, 40, 4)]
    assert all(hit.explanation and hit.explanation.features["cosine"].value == 0.0 for hit in answer.hits)
