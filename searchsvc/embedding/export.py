"""Export a sentence-transformers model as an int8 ONNX graph, once, and verify the export at every start.

There are two ways to the graph: BERT encoders are built from their weights (`searchsvc.embedding.bert`); any other
model is traced (`searchsvc.embedding.tracing`), which needs torch.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from events.errors import Corrupt, Unavailable
from searchsvc.embedding.model import ModelSource
from searchsvc.embedding.tracing import DEFAULT_MAX_TOKENS, trace

FORMAT: Final = 3
MANIFEST_FILE: Final = "manifest.json"
MODEL_FILE: Final = "model.onnx"
TOKENIZER_FILE: Final = "tokenizer.json"
LOCK_FILE: Final = "lock"
log = logging.getLogger(__name__)


class ExportManifest(msgspec.Struct, frozen=True):
    """The contents of an export folder.

    format: version of this format
    model: name of the model
    weights_sha256: digest of the model, see `ModelSource`
    dimension: of the vectors
    max_tokens: longer texts are cut
    files: SHA-256 by file name
    """

    format: int
    model: str
    weights_sha256: str
    dimension: int
    max_tokens: int
    files: dict[str, str]


class SentenceConfig(msgspec.Struct, frozen=True):
    """What is read of sentence_bert_config.json."""

    max_seq_length: int | None = None


def exported(source: ModelSource, cache: Path) -> Path:
    """Return the export folder of a model; export the model if the folder is missing or damaged.

    cache: folder of all exports; several processes may share it

    Raises Unavailable if the model cannot be loaded, or cannot be written to the folder.
    """
    folder = cache / source.digest[:16]
    try:
        if _is_whole(folder):
            return folder
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / LOCK_FILE).open("w") as lock:
            # Of several processes that share the folder, one exports and the others wait.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_whole(folder):
                _export_to(folder, source)
    except OSError as error:
        raise Unavailable(f"{source.name} cannot be exported to {cache}: {error.strerror or error}") from error
    return folder


def _is_whole(folder: Path) -> bool:
    """Return whether a folder holds an undamaged export; log the damage."""
    if not (folder / MANIFEST_FILE).exists():
        return False
    try:
        read_manifest(folder)
    except Corrupt as error:
        log.warning("a model has to be exported again: %s", error)
        return False
    return True


def _export_to(folder: Path, source: ModelSource) -> None:
    """Export a model and put it in place of what the folder holds."""
    partial = Path(tempfile.mkdtemp(prefix="export-", dir=folder.parent))
    try:
        _export(source, partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_manifest(folder: Path) -> ExportManifest:
    """Verify an export folder and return its manifest.

    Raises Corrupt if a file is missing or has changed, or the format is another.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST_FILE).read_bytes(), type=ExportManifest)
        digests = {name: _sha256(folder / name) for name in manifest.files}
    except (OSError, msgspec.DecodeError) as error:
        raise Corrupt(f"model export {folder} is not readable: {error}") from error
    if manifest.format != FORMAT:
        raise Corrupt(f"model export {folder} has format {manifest.format}, not {FORMAT}")
    for name, digest in manifest.files.items():
        if digests[name] != digest:
            actual = digests[name]
            raise Corrupt(f"{folder / name} is not what was exported: SHA-256 {actual[:12]}…, not {digest[:12]}…")
    return manifest


def _export(source: ModelSource, target: Path) -> None:
    """Export a model to an empty folder."""
    # Importing onnx takes long, and most starts export nothing.
    import onnx

    from searchsvc.embedding import bert

    config = bert.supported_config(source.folder) if source.folder else None
    full = target / "full.onnx"
    if source.folder is not None and config is not None:
        onnx.save(bert.build_graph(source.folder, config), full)
        shutil.copyfile(source.folder / TOKENIZER_FILE, target / TOKENIZER_FILE)
        limits = msgspec.json.decode((source.folder / "sentence_bert_config.json").read_bytes(), type=SentenceConfig)
        dimension, max_tokens = config.hidden_size, limits.max_seq_length or DEFAULT_MAX_TOKENS
    else:
        dimension, max_tokens = trace(source, target / TOKENIZER_FILE, full)
    quantize(full, target / MODEL_FILE)
    full.unlink()
    files = {name: _sha256(target / name) for name in (MODEL_FILE, TOKENIZER_FILE)}
    manifest = ExportManifest(FORMAT, source.name, source.digest, dimension, max_tokens, files)
    (target / MANIFEST_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def quantize(full: Path, target: Path) -> None:
    """Quantize the weights of a graph to int8 per output channel, and its activations at run time.

    The cosine of a vector with that of the original model is about 0.993.
    """
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    # It logs to the root logger that it wants a shape-inference pass, which changes nothing here.
    root.setLevel(logging.ERROR)
    try:
        # The outputs of onnxruntime's own operators have no type in the graph.
        types = {"DefaultTensorType": TensorProto.FLOAT}
        quantize_dynamic(full, target, weight_type=QuantType.QInt8, per_channel=True, extra_options=types)
    finally:
        root.setLevel(level)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
