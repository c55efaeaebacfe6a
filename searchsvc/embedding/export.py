"""From a sentence-transformers model to an int8 ONNX file, once; and from that file to a session, at every start.

Two ways to the same graph: BERT encoders are built from their weights alone; any other model is loaded by
sentence-transformers and traced by torch, which is imported here and nowhere else.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

import msgspec

from events.errors import Corrupt, Unavailable
from searchsvc.embedding.model import ModelSource

FORMAT: Final = 3
TOKENIZER_FILE: Final = "tokenizer.json"


class ExportManifest(msgspec.Struct, frozen=True):
    """What an export folder holds. files: SHA-256 of each. max_tokens: longer texts are cut."""

    format: int
    model: str
    weights_sha256: str
    dimension: int
    max_tokens: int
    files: dict[str, str]


class SentenceConfig(msgspec.Struct, frozen=True):
    max_seq_length: int | None = None


def exported(source: ModelSource, cache: Path) -> Path:
    """The verified export folder of a model, made where it is missing or damaged.

    Raises Unavailable where the model cannot be loaded here.
    """
    folder = cache / source.digest[:16]
    if (folder / "manifest.json").exists():
        try:
            read_manifest(folder)
            return folder
        except Corrupt as error:
            logging.getLogger(__name__).warning("exporting %s again: %s", source.name, error)
    cache.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix="export-", dir=cache))
    try:
        _export(source, partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def read_manifest(folder: Path) -> ExportManifest:
    """Raises Corrupt where a file of the export is missing, of another format, or not what was exported."""
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=ExportManifest)
        digests = {name: _sha256(folder / name) for name in manifest.files}
    except (OSError, msgspec.DecodeError) as error:
        raise Corrupt(f"model export {folder} is not readable: {error}") from error
    if manifest.format != FORMAT:
        raise Corrupt(f"model export {folder} has format {manifest.format}, not {FORMAT}")
    for name, digest in manifest.files.items():
        if digests[name] != digest:
            raise Corrupt(
                f"{folder / name} is not what was exported: SHA-256 {digests[name][:12]}…, not {digest[:12]}…"
            )
    return manifest


def _export(source: ModelSource, target: Path) -> None:
    # Its own import takes a while, and most starts export nothing.
    import onnx

    from searchsvc.embedding import bert

    config = bert.supported(source.folder) if source.folder else None
    full = target / "full.onnx"
    if source.folder is not None and config is not None:
        onnx.save(bert.build(source.folder, config), full)
        shutil.copyfile(source.folder / TOKENIZER_FILE, target / TOKENIZER_FILE)
        limits = msgspec.json.decode((source.folder / "sentence_bert_config.json").read_bytes(), type=SentenceConfig)
        dimension, max_tokens = config.hidden_size, limits.max_seq_length or 256
    else:
        dimension, max_tokens = trace(source, target, full)
    quantise(full, target / "model.onnx")
    full.unlink()
    files = {name: _sha256(target / name) for name in ("model.onnx", TOKENIZER_FILE)}
    manifest = ExportManifest(FORMAT, source.name, source.digest, dimension, max_tokens, files)
    (target / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def quantise(full: Path, target: Path) -> None:
    """Weights to int8 per output channel, activations at run time (cosine to the original about .993)."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a shape-inference pass on the root logger, which changes nothing here
    try:
        # What comes out of onnxruntime's own operators has no type for it to find.
        types = {"DefaultTensorType": TensorProto.FLOAT}
        quantize_dynamic(full, target, weight_type=QuantType.QInt8, per_channel=True, extra_options=types)
    finally:
        root.setLevel(level)


def trace(source: ModelSource, target: Path, full: Path) -> tuple[int, int]:
    """Load any model with sentence-transformers and trace it with torch. Returns (dimension, max_tokens)."""
    try:
        import torch
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise Unavailable(
            f"exporting {source.name} needs torch and sentence-transformers, and they do not import: {error}"
        ) from error
    try:
        model: Any = SentenceTransformer(str(source.folder or source.name), device="cpu").eval()
    except (OSError, ValueError) as error:
        raise Unavailable(f"{source.name} cannot be loaded: {error}") from error

    class Whole(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked here
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any) -> Any:
            mask = torch.ones_like(input_ids)
            vectors = self.model({"input_ids": input_ids, "attention_mask": mask})["sentence_embedding"]
            return torch.nn.functional.normalize(vectors, p=2, dim=1)

    ids = torch.ones((2, 8), dtype=torch.int64)
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter that torch recommends instead needs another package, and warns of less but breaks on more models.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Whole(),
            (ids,),
            str(full),
            input_names=["input_ids"],
            output_names=["embedding"],
            dynamic_axes={"input_ids": {0: "b", 1: "l"}, "embedding": {0: "b"}},
            opset_version=17,
            dynamo=False,
        )
    model.tokenizer.backend_tokenizer.save(str(target / TOKENIZER_FILE))
    return int(model.get_embedding_dimension()), int(model.max_seq_length or 256)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
