"""The exported model that benchmarks and the services that they start use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from searchsvc.embedding.export import exported
from searchsvc.embedding.model import find_model
from searchsvc.runtime.config import Config, EmbeddingConfig

# An export is the same in every folder, so sharing one changes no figure but the time of a first start.
EXPORT_DIR: Final = "SEARCHSVC_EMBEDDING_EXPORT_DIR"


def packaged_model(data_dir: Path) -> Path:
    """Return the export folder of the packaged model, as a service on this data folder has it."""
    config = Config(data_dir=str(data_dir), embedding=EmbeddingConfig(export_dir=os.environ.get(EXPORT_DIR, "")))
    return exported(find_model(config.embedding.model), config.export_path)
