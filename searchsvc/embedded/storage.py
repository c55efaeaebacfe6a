"""Engine snapshots on disk: immutable, checked by SHA-256 before they are opened, rebuilt from CATALOG when in doubt.

INDEX/documents-<generation>     append-only; a snapshot vouches for its beginning
INDEX/snapshots/<catalog_seq>/   arrays, terms, ids, hard links to tantivy's files, manifest.json written last
INDEX/work-<generation>/         what the running engine writes. Its tantivy folder is made anew from a snapshot at
                                 every start; its document file only grows, and snapshots vouch for its beginning
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from events.digest import DocumentsDigest
from events.errors import Corrupt
from events.settings import IndexSettings
from events.snapshot import sync
from searchsvc.arrays import AnyArray
from searchsvc.embedded.engine import EmbeddedEngine, StoredEngine
from searchsvc.embedded.forward import StoredForward

SCHEMA = 3
KEPT_SNAPSHOTS = 2


class Manifest(msgspec.Struct, frozen=True):
    """What a snapshot is of, and the SHA-256 of each of its files.

    schema: of this layout. model: digest of the model that made the vectors. documents_*: of the document file's
    beginning. seal: SHA-256 of the manifest itself, written without it.
    """

    schema: int
    generation: str
    catalog_seq: int
    settings: IndexSettings
    model: str
    dimension: int
    n_live: int
    digest: DocumentsDigest
    documents_bytes: int
    documents_sha256: str
    files: dict[str, str]
    seal: str = ""

    def sealed(self) -> Manifest:
        """The same with its seal."""
        bare = msgspec.structs.replace(self, seal="")
        return msgspec.structs.replace(bare, seal=hashlib.sha256(msgspec.json.encode(bare)).hexdigest())


def save(engine: EmbeddedEngine, folder: Path, model: str) -> Path:
    """Write a snapshot of the engine's last commit and drop all but the newest few. Called by the writer's thread."""
    engine.keyword_index.settle()
    stored = engine.store()
    target = folder / "snapshots" / f"{stored.catalog_seq:020d}"
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    arrays = {
        "live": stored.live,
        "signals": stored.signals,
        "document_ends": stored.document_ends,
        "vectors": stored.vectors,
        "starts": stored.forward.starts,
        "entry_terms": stored.forward.entry_terms,
        "entry_fields": stored.forward.entry_fields,
        "entry_frequencies": stored.forward.entry_frequencies,
        "lengths": stored.forward.lengths,
        "document_frequencies": stored.forward.document_frequencies,
        "total_lengths": stored.forward.total_lengths,
    }
    for name, array in arrays.items():
        np.save(partial / f"{name}.npy", array)
    (partial / "ids.json").write_bytes(msgspec.json.encode(stored.ids))
    (partial / "terms.json").write_bytes(msgspec.json.encode(stored.forward.terms))
    (partial / "tantivy").mkdir()
    for file in engine.keyword_index.folder.iterdir():
        # tantivy never rewrites a segment file, only its two JSON lists.
        if not file.name.endswith(".lock"):
            copy = shutil.copyfile if file.suffix == ".json" else os.link
            copy(file, partial / "tantivy" / file.name)
    engine.documents.sync()
    manifest = Manifest(
        schema=SCHEMA,
        generation=stored.generation,
        catalog_seq=stored.catalog_seq,
        settings=engine.settings,
        model=model,
        dimension=engine.dimension,
        n_live=stored.forward.n_live,
        digest=stored.digest,
        documents_bytes=engine.documents.size,
        documents_sha256=_sha256(engine.documents.path, engine.documents.size),
        files={str(file.relative_to(partial)): _sha256(file) for file in sorted(partial.rglob("*")) if file.is_file()},
    )
    for file in partial.rglob("*"):
        sync(file)
    (partial / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest.sealed()), indent=1))
    sync(partial / "manifest.json")
    sync(partial)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    sync(target.parent)
    for old in snapshots(folder)[KEPT_SNAPSHOTS:]:
        shutil.rmtree(old)
    return target


def snapshots(folder: Path) -> list[Path]:
    """The finished snapshots of an index, newest first."""
    return sorted((p for p in (folder / "snapshots").glob("*") if (p / "manifest.json").exists()), reverse=True)


def load(snapshot: Path, folder: Path, settings: IndexSettings, model: str) -> EmbeddedEngine | None:
    """The engine of a snapshot; None where it was made for other settings, another model or another layout.

    Raises Corrupt naming the first file that is missing or not what the manifest vouches for.
    """
    manifest = _manifest(snapshot)
    if manifest.schema != SCHEMA or manifest.settings != settings or manifest.model != model:
        return None
    for name, digest in manifest.files.items():
        _require(snapshot / name, digest)
    work = work_folder(folder, manifest.generation)
    _require(work / "documents", manifest.documents_sha256, manifest.documents_bytes)
    for stale in work.glob("tantivy*"):
        shutil.rmtree(stale)
    fresh_tantivy = work / "tantivy"
    fresh_tantivy.mkdir(parents=True)
    for file in (snapshot / "tantivy").iterdir():
        copy = shutil.copyfile if file.suffix == ".json" else os.link
        copy(file, fresh_tantivy / file.name)

    def array(name: str) -> AnyArray:
        loaded: AnyArray = np.load(snapshot / f"{name}.npy")
        return loaded

    forward = StoredForward(
        terms=msgspec.json.decode((snapshot / "terms.json").read_bytes(), type=list[str]),
        starts=array("starts"),
        entry_terms=array("entry_terms"),
        entry_fields=array("entry_fields"),
        entry_frequencies=array("entry_frequencies"),
        lengths=array("lengths"),
        document_frequencies=array("document_frequencies"),
        total_lengths=array("total_lengths"),
        n_live=manifest.n_live,
    )
    stored = StoredEngine(
        generation=manifest.generation,
        catalog_seq=manifest.catalog_seq,
        digest=manifest.digest,
        ids=msgspec.json.decode((snapshot / "ids.json").read_bytes(), type=list[str]),
        live=array("live"),
        signals=array("signals"),
        document_ends=array("document_ends"),
        vectors=array("vectors"),
        forward=forward,
    )
    return EmbeddedEngine(work, settings, manifest.dimension, manifest.generation, stored)


def stored_documents(folder: Path) -> dict[str, bytes]:
    """Document id -> text of all that the newest good snapshot of an index has; {} where it has none.

    Only reads, so that it may be called beside a running service.
    """
    for snapshot in snapshots(folder):
        with suppress(Corrupt):
            manifest = _manifest(snapshot)
            for name in ("ids.json", "live.npy", "document_ends.npy"):
                _require(snapshot / name, manifest.files[name])
            texts = work_folder(folder, manifest.generation) / "documents"
            _require(texts, manifest.documents_sha256, manifest.documents_bytes)
            content = texts.read_bytes()
            ids = msgspec.json.decode((snapshot / "ids.json").read_bytes(), type=list[str])
            ends = np.load(snapshot / "document_ends.npy").tolist()
            live = np.flatnonzero(np.load(snapshot / "live.npy")).tolist()
            return {ids[slot]: content[ends[slot] : ends[slot + 1]] for slot in live}
    return {}


def _manifest(snapshot: Path) -> Manifest:
    """Raises Corrupt where it is not readable or not what was sealed."""
    try:
        manifest = msgspec.json.decode((snapshot / "manifest.json").read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise Corrupt(f"{snapshot}/manifest.json is not readable: {error}") from error
    if manifest.schema == SCHEMA and manifest != manifest.sealed():
        raise Corrupt(f"{snapshot}/manifest.json is not what was sealed")
    return manifest


def empty(folder: Path, settings: IndexSettings, dimension: int) -> EmbeddedEngine:
    """An engine without documents, of a new generation."""
    generation = uuid.uuid4().hex[:12]
    return EmbeddedEngine(work_folder(folder, generation), settings, dimension, generation)


def drop_others(folder: Path, generation: str) -> None:
    """Remove the working folders of every other generation, and the snapshots that need them."""
    for work in folder.glob("work-*"):
        if work != work_folder(folder, generation):
            shutil.rmtree(work, ignore_errors=True)
    for snapshot in snapshots(folder):
        if f'"generation": "{generation}"' not in (snapshot / "manifest.json").read_text():
            shutil.rmtree(snapshot, ignore_errors=True)


def work_folder(folder: Path, generation: str) -> Path:
    return folder / f"work-{generation}"


def _require(path: Path, digest: str, size: int | None = None) -> None:
    try:
        actual = _sha256(path, size)
    except OSError as error:
        raise Corrupt(f"{path} is missing: {error}") from error
    if actual != digest:
        raise Corrupt(f"{path} is not what its manifest vouches for: SHA-256 {actual[:12]}…, not {digest[:12]}…")


def _sha256(path: Path, size: int | None = None) -> str:
    """Of a file, or of its first `size` bytes."""
    with path.open("rb") as file:
        if size is None:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        while size > 0 and (part := file.read(min(size, 1 << 20))):
            digest.update(part)
            size -= len(part)
        return digest.hexdigest()
