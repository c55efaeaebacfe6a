"""The weights that shoppers see before anything is learnt: production."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from benchmarks import fitting
from benchmarks.featurefile import FeatureFile
from events.errors import InvalidInput
from tuning.arrays import ScoreArray

N_FITTED: Final = 50


def production_of(features: FeatureFile, file: Path | None, *, optimal: bool = False) -> tuple[ScoreArray, str]:
    """Return the (n_features,) weights to start from, and where they come from.

    file: JSON object of weights by feature name; None takes those of the feature file, or fits some on a few queries
    optimal: return the best linear weights by the labels of the training queries instead

    Raises InvalidInput if the file is not readable or names an unknown feature.
    """
    queries = features.parts["train"]
    if optimal:
        weights = fitting.best_linear([query.features for query in queries], [query.grades for query in queries])
        return weights, "the best there are"
    if file is not None:
        return _read(file, features.names), file.name
    if features.production is not None:
        return features.production, "the file's"
    rng = np.random.default_rng(0)
    sample = [queries[i] for i in rng.choice(len(queries), min(N_FITTED, len(queries)), replace=False)]
    grades = [query.grades for query in sample]
    candidates = fitting.candidates([query.features.astype(np.float32) for query in sample], grades, grades)
    n = len(features.names)
    return fitting.fit(candidates, np.full(n, 1.0 / n)), f"fitted on {len(sample)} queries"


def _read(file: Path, names: list[str]) -> ScoreArray:
    try:
        weights = msgspec.json.decode(file.read_bytes(), type=dict[str, float])
    except (OSError, msgspec.DecodeError) as error:
        limit = "a JSON object of weights by feature name"
        message = f"{file} cannot be read: {error}; required: {limit}"
        raise InvalidInput(message, field="production", value=str(file), limit=limit) from error
    unknown = next((name for name in weights if name not in names), None)
    if unknown is not None:
        raise InvalidInput(
            f"there is no feature {unknown!r}", field="production", value=unknown, limit=", ".join(names)
        )
    return np.array([weights.get(name, 0.0) for name in names])
