"""sentence-transformers as a user would call it: what our encoder is compared with."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.bare import timed
from searchsvc.embedding.model import find_model

BATCH: Final = 64
MODEL: Final = "all-MiniLM-L6-v2"


class Reference:
    """`SentenceTransformer.encode`, if it is installed and wanted.

    Loaded at the first call: torch's threads spin after a call and would disturb what is measured before.

    n_texts: documents to encode; 0 for no reference at all
    """

    def __init__(self, n_texts: int) -> None:
        self.n_texts = n_texts
        self._model: Any = None

    def encode_query(self, query: str) -> float | None:
        """Return the milliseconds that encoding a query takes; None without a reference."""
        model = self._load()
        return timed(lambda: model.encode(query))[1] if model is not None else None

    def documents_per_s(self, texts: list[str]) -> float | None:
        """Return how many texts a second are encoded; None without a reference."""
        model = self._load()
        if model is None:
            return None
        _, ms = timed(lambda: model.encode(texts, batch_size=BATCH))
        return len(texts) / ms * 1e3

    def _load(self) -> Any:
        if self._model is None and self.n_texts:
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError:
                self.n_texts = 0
                return None
            self._model = SentenceTransformer(str(find_model(MODEL).folder), device="cpu")
            self._model.encode(["warm up"] * BATCH, batch_size=BATCH)
        return self._model
