"""Names of hinges."""

from __future__ import annotations

import pytest

from events.hinges import HINGES, SUFFIX_CHARS, feature_of, is_hinge


@pytest.mark.parametrize("suffix", HINGES)
def test_a_hinge_names_its_feature_and_its_knot(suffix: str) -> None:
    assert len(suffix) == SUFFIX_CHARS
    assert feature_of(f"bm25.title{suffix}") == "bm25.title"
    assert is_hinge(f"bm25.title{suffix}")


@pytest.mark.parametrize("name", ["bm25.title", "bm25.title>1/2", ">", ""])
def test_other_names_are_features(name: str) -> None:
    assert feature_of(name) == name
    assert not is_hinge(name)
