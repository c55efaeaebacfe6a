"""The cut: above most texts without meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from searchsvc.indexing.neighbour_cut import N_PROBES, measure_cut, probe_texts
from tests.factories import engine, upsert, vector

PROBES = [vector(seed) for seed in range(500, 520)]


def test_probes_are_always_the_same_and_none_is_empty() -> None:
    assert probe_texts() == probe_texts()
    assert len(set(probe_texts())) == N_PROBES
    assert all(text.replace(" ", "").isalpha() for text in probe_texts())


def test_three_in_four_probes_do_not_reach_the_cut(tmp_path: Path) -> None:
    documents = [upsert(f"d{i}", "red", seed=i) for i in range(40)]
    cut = measure_cut(engine(tmp_path, documents).snapshot(), PROBES)
    nearest = [max(float(probe @ vector(i)) for i in range(40)) for probe in PROBES]
    assert np.mean(np.array(nearest) < cut) == 0.75


def test_an_index_without_vectors_has_no_cut(tmp_path: Path) -> None:
    assert measure_cut(engine(tmp_path).snapshot(), PROBES) == 0.0
