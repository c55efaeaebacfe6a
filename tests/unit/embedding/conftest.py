"""The model that our graphs are compared with."""

from __future__ import annotations

from typing import Any

import pytest

from searchsvc.embedding.model import find_model
from tests.unit.embedding.texts import MODEL


@pytest.fixture(scope="session")
def sentence_transformer(torch: None) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(find_model(MODEL).folder), device="cpu")
