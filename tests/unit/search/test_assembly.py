"""Explanations of hits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.searching import red_shoes, search


def test_an_explanation_adds_up_to_the_score(tmp_path: Path) -> None:
    for hit in search(red_shoes(tmp_path), "red 3", explain=True).answer.hits:
        assert hit.explanation is not None
        parts = hit.explanation.features
        assert sum(part.contribution for part in parts.values()) == pytest.approx(hit.score, abs=1e-12)
        assert all(part.contribution == pytest.approx(part.value * part.weight) for part in parts.values())
