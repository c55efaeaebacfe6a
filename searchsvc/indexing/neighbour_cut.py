"""How near a document must be to a query to be its neighbour: told from the index alone, without labels.

Texts without meaning have nearest documents too, at cosines that depend on the model and on the documents. A neighbour
must be nearer than most of those. See docs/decisions/neighbours.md for what other cuts let in and keep out.
"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from typing import Final

import numpy as np

from searchsvc.analysis.query import Query
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.engines.retrieval import Retrieval
from tuning.arrays import FloatArray

N_PROBES: Final = 64
_SEED: Final = 20_261_201
# The share of texts without meaning that is farther from every document than the cut.
QUANTILE: Final = 0.75


def probe_texts(n: int = N_PROBES) -> list[str]:
    """Return texts without meaning: one to three words of random letters. They are always the same."""
    rng = random.Random(_SEED)  # noqa: S311 - nothing is kept secret by it
    words = ("".join(rng.choices(string.ascii_lowercase, k=rng.randint(4, 10))) for _ in range(3 * n))
    return [" ".join(next(words) for _ in range(rng.randint(1, 3))) for _ in range(n)]


def measure_cut(snapshot: EngineSnapshot, probes: Sequence[FloatArray]) -> float:
    """Return the cosine that three in four probes do not reach with any document; 0 for an index without vectors."""
    cosines = [cosine for probe in probes for cosine in _nearest(snapshot, probe)]
    return round(float(np.quantile(cosines, QUANTILE)), 3) if cosines else 0.0


def _nearest(snapshot: EngineSnapshot, probe: FloatArray) -> list[float]:
    """Return the cosine of the nearest document; empty if no document has a vector."""
    no_signals = np.zeros(len(snapshot.settings.signals), np.float32)
    retrieved = snapshot.reading().retrieve(Retrieval(Query("probe"), probe, {}, no_signals, k=1, window=1))
    return [max(float(cosine), 0.0) for cosine in retrieved.cosines[:1]]
