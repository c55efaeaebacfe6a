"""Loading and running an exported model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from events.errors import Corrupt, Unavailable
from searchsvc.embedding.inference import encode, load_session, load_tokenizer, pinned_to


class FakeSession:
    """Returns one vector for every text."""

    def __init__(self, vector: list[float]) -> None:
        self._vector = vector

    def run(self, *_: object) -> list[Any]:
        return [np.array([self._vector], np.float32)]


def test_a_damaged_model_or_tokenizer_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    (tmp_path / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(Corrupt, match=r"model\.onnx does not load"):
        load_session(tmp_path)
    with pytest.raises(Corrupt, match=r"tokenizer\.json is not a tokenizer"):
        load_tokenizer(tmp_path, 8)


def test_a_tokenizer_cuts_long_texts(model_export: Path) -> None:
    assert len(load_tokenizer(model_export, 8).encode("word " * 100).ids) == 8


def test_a_vector_with_numbers_that_are_not_finite_is_refused() -> None:
    assert encode(FakeSession([1.0, 0.0]), [1]).tolist() == [1.0, 0.0]
    with pytest.raises(Unavailable, match="not finite"):
        encode(FakeSession([float("nan"), 0.0]), [1])


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_thread_stays_on_its_cores_and_goes_back_afterwards() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    with pinned_to([core]):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
