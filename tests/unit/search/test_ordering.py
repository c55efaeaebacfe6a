"""How words and vectors share in the order of hits."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchsvc.engines.protocol import EngineSnapshot
from tests.factories import engine, serving, upsert, vector
from tests.searching import hit_ids, search


def sleeves_and_notebooks(folder: Path, low: float, high: float) -> tuple[EngineSnapshot, set[str]]:
    """Return an index for the query "laptop 7", and the ids of its notebooks.

    Sleeves contain its word and have cosines between `low` and `high`; notebooks are near and contain no word of it.
    """
    seeds = range(1000, 4000)
    near_seeds = [seed for seed in seeds if vector(seed) @ vector(7) > 0.55][:10]
    half_near_seeds = [seed for seed in seeds if low < vector(seed) @ vector(7) < high][:30]
    far_seeds = half_near_seeds + [seed for seed in seeds if -0.5 < vector(seed) @ vector(7) < 0.1][:60]
    words = [("laptop sleeve", "for a laptop")] * 30 + [("garden chair", "wood")] * 60
    far = [upsert(f"f{i:02d}", *pair, seed=seed) for i, (pair, seed) in enumerate(zip(words, far_seeds, strict=True))]
    notebooks = [upsert(f"n{i}", "notebook", "portable", seed=seed) for i, seed in enumerate(near_seeds)]
    return engine(folder, [*far, *notebooks]).snapshot(), {notebook.id for notebook in notebooks}


def test_if_words_and_meaning_disagree_the_page_shows_some_of_both(tmp_path: Path) -> None:
    snapshot, near = sleeves_and_notebooks(tmp_path, 0.2, 0.45)
    both = search(serving(snapshot), "laptop 7", explain=True)
    shown = set(hit_ids(both.answer))
    assert shown & near
    assert shown - near
    first = next(hit for hit in both.answer.hits if hit.id in near)
    assert first.explanation is not None
    share = first.explanation.features["overlooked"]
    assert (share.value, share.contribution) == (1.0, 4.0)
    parts = sum(share.contribution for share in first.explanation.features.values())
    assert first.score == pytest.approx(parts)
    column = both.shown.feature_names.index("overlooked")
    assert max(row[column] for row in both.shown.features) == 1.0
    assert not set(hit_ids(search(serving(snapshot, overlooked=0.0), "laptop 7").answer)) & near
    # Nothing is overlooked if the words find what is near.
    agreeing = search(serving(snapshot), "notebook 7", explain=True).answer
    assert all(h.explanation and h.explanation.features["overlooked"].value == 0.0 for h in agreeing.hits)


def test_feature_overlooked_is_multiplied_by_vector_trust(tmp_path: Path) -> None:
    snapshot, near = sleeves_and_notebooks(tmp_path, 0.08, 0.14)
    both = search(serving(snapshot, overlooked=8.0), "laptop 7", explain=True, limit=100).answer
    assert both.vector_trust is not None
    assert 0.1 < both.vector_trust < 0.9
    parts = [hit.explanation.features["overlooked"] for hit in both.hits if hit.id in near and hit.explanation]
    assert max(part.value for part in parts) == pytest.approx(both.vector_trust, abs=1e-3)
    assert max(part.contribution for part in parts) == pytest.approx(8.0 * both.vector_trust, abs=1e-2)


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
