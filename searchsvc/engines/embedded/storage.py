"""Snapshots on disk: immutable, checked by SHA-256 before they are opened, rebuilt from CATALOG when in doubt.

INDEX/work-<generation>/documents   append-only; a snapshot covers its beginning
INDEX/snapshots/<catalog_seq>/      arrays (`stored_files`), FAISS index, manifest.json written last
"""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import faiss
import msgspec
import numpy as np

from events.errors import Corrupt
from events.settings import IndexSettings
from events.snapshot import sync
from searchsvc.engines.embedded.compaction import compacted
from searchsvc.engines.embedded.documents import DOCUMENTS
from searchsvc.engines.embedded.engine import EmbeddedEngine, StoredEngine
from searchsvc.engines.embedded.manifest import MANIFEST, SCHEMA, Manifest, read_manifest, require_unchanged, sha256
from searchsvc.engines.embedded.stored_files import load_stored, save_stored

VECTOR_BASE: Final = "vectors.faiss"
MAX_SNAPSHOTS: Final = 2
log = logging.getLogger(__name__)


def save(engine: EmbeddedEngine, folder: Path, model: str) -> Path:
    """Write a snapshot of the engine's last commit, and delete all but the newest few. For the writer's thread.

    folder: of the index
    model: digest of the model that made the vectors, '' without one

    Returns the snapshot's folder.
    """
    stored = engine.store()
    target = folder / "snapshots" / f"{stored.catalog_seq:020d}"
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with _removed_after_failure(partial):
        partial.mkdir(parents=True)
        _write_snapshot(engine, stored, partial, model)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    sync(target.parent)
    for old in snapshots(folder)[MAX_SNAPSHOTS:]:
        shutil.rmtree(old)
    return target


def _write_snapshot(engine: EmbeddedEngine, stored: StoredEngine, partial: Path, model: str) -> None:
    """Write the files of a snapshot, the manifest last."""
    save_stored(stored, partial)
    if engine.vector_base is not None:
        # FAISS itself would leave a file out of which the disk took only a part, and say nothing.
        (partial / VECTOR_BASE).write_bytes(faiss.serialize_index(engine.vector_base).data)
    engine.documents.sync()
    files = sorted(partial.iterdir())
    for file in files:
        sync(file)
    manifest = Manifest(
        schema=SCHEMA,
        generation=engine.generation,
        catalog_seq=stored.catalog_seq,
        settings=engine.settings,
        model=model,
        dimension=engine.dimension,
        documents_bytes=engine.documents.size_bytes,
        documents_sha256=sha256(engine.documents.path, engine.documents.size_bytes),
        files={file.name: sha256(file) for file in files},
    )
    manifest.write(partial)


@contextmanager
def _removed_after_failure(path: Path) -> Iterator[None]:
    """Remove a folder if writing it fails: what is left of it would keep a full disk full."""
    try:
        yield
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
        raise


def load(
    snapshot: Path, folder: Path, settings: IndexSettings, model: str, executor: Executor | None = None
) -> EmbeddedEngine | None:
    """Open a snapshot; return None if it was made with other settings, another model or another schema.

    folder: of the index
    executor: see `EmbeddedEngine`

    Raises Corrupt with the name of the first file that is missing or does not match the manifest.
    """
    manifest = read_manifest(snapshot)
    if manifest.schema != SCHEMA or manifest.settings != settings or manifest.model != model:
        return None
    for name, digest in manifest.files.items():
        require_unchanged(snapshot / name, digest)
    work = work_folder(folder, manifest.generation)
    require_unchanged(work / DOCUMENTS, manifest.documents_sha256, manifest.documents_bytes)
    stored, base = load_stored(StoredEngine, snapshot), vector_base(snapshot)
    return EmbeddedEngine(work, settings, manifest.dimension, manifest.generation, stored, base, executor)


def create(folder: Path, settings: IndexSettings, dimension: int, executor: Executor | None = None) -> EmbeddedEngine:
    """Create an engine without documents, of a new generation. executor: see `EmbeddedEngine`."""
    generation = _new_generation()
    return EmbeddedEngine(work_folder(folder, generation), settings, dimension, generation, executor=executor)


def compact(engine: EmbeddedEngine, folder: Path, executor: Executor | None = None) -> EmbeddedEngine:
    """Create an engine with the documents of another and without dead slots. For the writer's thread.

    executor: see `EmbeddedEngine`
    """
    generation = _new_generation()
    work = work_folder(folder, generation)
    with _removed_after_failure(work):
        work.mkdir(parents=True)
        engine.documents.copy(engine.live_slots().tolist(), work / DOCUMENTS)
    stored = compacted(engine.store())
    return EmbeddedEngine(work, engine.settings, engine.dimension, generation, stored, executor=executor)


def snapshots(folder: Path) -> list[Path]:
    """Return the complete snapshots of an index, newest first."""
    return sorted((path for path in (folder / "snapshots").glob("*") if (path / MANIFEST).exists()), reverse=True)


def vector_base(snapshot: Path) -> Any:
    """Return the FAISS index of a snapshot, mapped; None if it has none that this FAISS can read.

    It is then built again; meanwhile searches compare more vectors.
    """
    file = snapshot / VECTOR_BASE
    try:
        return faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC) if file.exists() else None
    except RuntimeError as error:
        log.warning("%s is not readable and will be built again: %s", file, str(error).splitlines()[0])
        return None


def model_of(snapshot: Path) -> str:
    """Return the digest of the model that made a snapshot's vectors. Raises Corrupt."""
    return read_manifest(snapshot).model


def stored_documents(folder: Path) -> dict[str, bytes]:
    """Return the JSON of all documents in the newest good snapshot of an index, by id; empty if there is none.

    Only reads, so it may be called while a service uses the index.
    """
    for snapshot in snapshots(folder):
        with suppress(Corrupt):
            manifest = read_manifest(snapshot)
            for name in ("live.npy", "document_ends.npy"):
                require_unchanged(snapshot / name, manifest.files[name])
            file = work_folder(folder, manifest.generation) / DOCUMENTS
            require_unchanged(file, manifest.documents_sha256, manifest.documents_bytes)
            content = file.read_bytes()
            ends = np.load(snapshot / "document_ends.npy").tolist()
            live = np.flatnonzero(np.load(snapshot / "live.npy")).tolist()
            documents = [content[ends[slot] : ends[slot + 1]] for slot in live]
            return {msgspec.json.decode(document, type=_WithId).id: document for document in documents}
    return {}


class _WithId(msgspec.Struct):
    id: str


def drop(folder: Path, generation: str) -> None:
    """Delete the work folder of a generation, and its snapshots."""
    shutil.rmtree(work_folder(folder, generation), ignore_errors=True)
    for snapshot in snapshots(folder):
        if _is_of(snapshot, generation):
            shutil.rmtree(snapshot, ignore_errors=True)


def drop_others(folder: Path, generation: str) -> None:
    """Delete the work folders of all other generations, and their snapshots."""
    for work in folder.glob("work-*"):
        if work != work_folder(folder, generation):
            shutil.rmtree(work, ignore_errors=True)
    for snapshot in snapshots(folder):
        if not _is_of(snapshot, generation):
            shutil.rmtree(snapshot, ignore_errors=True)


def has_snapshot(folder: Path, generation: str) -> bool:
    """Return whether there is a snapshot of a generation."""
    return any(_is_of(snapshot, generation) for snapshot in snapshots(folder))


def work_folder(folder: Path, generation: str) -> Path:
    """Return the folder that the engine of a generation writes to."""
    return folder / f"work-{generation}"


def _new_generation() -> str:
    return uuid.uuid4().hex[:12]


def _is_of(snapshot: Path, generation: str) -> bool:
    return f'"generation": "{generation}"' in (snapshot / MANIFEST).read_text()
