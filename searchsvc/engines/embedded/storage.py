"""Engine snapshots on disk: immutable, checked by SHA-256 before they are opened, rebuilt from CATALOG when in doubt.

INDEX/documents-<generation>     append-only; a snapshot vouches for its beginning
INDEX/snapshots/<catalog_seq>/   arrays, words, ids, manifest.json written last
INDEX/work-<generation>/         what the running engine writes: the document file
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import faiss
import msgspec
import numpy as np

from events.digest import DocumentsDigest
from events.errors import Corrupt
from events.settings import IndexSettings
from events.snapshot import sync
from searchsvc.engines.columnar.lexicon import StoredLexicon
from searchsvc.engines.columnar.texts import StoredTexts
from searchsvc.engines.columnar.vectors import StoredVectors
from searchsvc.engines.embedded.attributes import BLANK, StoredAttribute
from searchsvc.engines.embedded.engine import EmbeddedEngine, StoredEngine
from searchsvc.engines.embedded.forward import StoredForward
from searchsvc.engines.embedded.ids import StoredIds
from searchsvc.engines.embedded.postings import Entries, PostingsRun
from tuning.arrays import AnyArray

SCHEMA = 7
VECTOR_BASE = "vectors.faiss"
log = logging.getLogger(__name__)
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
    stored = engine.store()
    target = folder / "snapshots" / f"{stored.catalog_seq:020d}"
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    arrays = {
        "live": stored.live,
        **_texts("ids", stored.ids.texts),
        "id_of_slot": stored.ids.of_slot,
        "id_keys": stored.ids.keys,
        "signals": stored.signals,
        "document_ends": stored.document_ends,
        "vectors": stored.vectors.rows,
        "vector_scales": stored.vectors.scales,
        "vector_total": stored.vectors.total,
        "term_of": stored.forward.lexicon.term_of,
        "signatures": stored.forward.lexicon.signatures,
        "beginnings": stored.forward.lexicon.beginnings,
        "word_lengths": stored.forward.lexicon.lengths,
        "words_in_order": stored.forward.lexicon.in_order,
        **_texts("words", stored.forward.lexicon.words),
        "starts": stored.forward.starts,
        "entry_words": stored.forward.entry_words,
        "entry_fields": stored.forward.entry_fields,
        "entry_positions": stored.forward.entry_positions,
        "lengths": stored.forward.lengths,
        "titles": stored.forward.titles,
        "word_counts": stored.forward.word_counts,
        "document_frequencies": stored.forward.document_frequencies,
        "total_lengths": stored.forward.total_lengths,
        "posting_terms": stored.postings.terms,
        "posting_starts": stored.postings.starts,
        "posting_slots": stored.postings.entries.slots,
        "posting_fields": stored.postings.entries.fields,
        "posting_frequencies": stored.postings.entries.frequencies,
        "posting_lengths": stored.postings.entries.lengths,
    }
    arrays |= _joined(stored.attributes)
    for name, array in arrays.items():
        np.save(partial / f"{name}.npy", array)
    (partial / "attributes.json").write_bytes(msgspec.json.encode(list(stored.attributes)))
    (partial / "stems.json").write_bytes(msgspec.json.encode(stored.forward.lexicon.stems))
    if stored.vector_base is not None:
        faiss.write_index(stored.vector_base, str(partial / VECTOR_BASE))
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

    def array(name: str) -> AnyArray:
        # Mapped: what no search asks for need not be in memory. As a plain array: a memmap is slow to cut.
        mapped: AnyArray = np.asarray(np.load(snapshot / f"{name}.npy", mmap_mode="r"))
        return mapped

    def texts(name: str) -> StoredTexts:
        return StoredTexts(*(array(f"{name}_{part}") for part in _OF_TEXTS))

    forward = StoredForward(
        lexicon=StoredLexicon(
            texts("words"),
            msgspec.json.decode((snapshot / "stems.json").read_bytes(), type=dict[str, int]),
            array("term_of"),
            array("signatures"),
            array("beginnings"),
            array("word_lengths"),
            array("words_in_order"),
        ),
        starts=array("starts"),
        entry_words=array("entry_words"),
        entry_fields=array("entry_fields"),
        entry_positions=array("entry_positions"),
        lengths=array("lengths"),
        titles=array("titles"),
        word_counts=array("word_counts"),
        document_frequencies=array("document_frequencies"),
        total_lengths=array("total_lengths"),
        n_live=manifest.n_live,
    )
    names = msgspec.json.decode((snapshot / "attributes.json").read_bytes(), type=list[str])
    stored = StoredEngine(
        generation=manifest.generation,
        catalog_seq=manifest.catalog_seq,
        digest=manifest.digest,
        ids=StoredIds(texts("ids"), array("id_of_slot"), array("id_keys")),
        live=array("live"),
        signals=array("signals"),
        document_ends=array("document_ends"),
        vectors=StoredVectors(array("vectors"), array("vector_scales"), array("vector_total")),
        vector_base=vector_base(snapshot),
        forward=forward,
        postings=PostingsRun(
            array("posting_terms"),
            array("posting_starts"),
            Entries(
                array("posting_slots"),
                array("posting_fields"),
                array("posting_frequencies"),
                array("posting_lengths"),
            ),
        ),
        attributes=_split(names, {name: array(name) for name in _JOINED}),
    )
    return EmbeddedEngine(work, settings, manifest.dimension, manifest.generation, stored)


def _texts(name: str, stored: StoredTexts) -> dict[str, AnyArray]:
    return {f"{name}_{part}": getattr(stored, part) for part in _OF_TEXTS}


def vector_base(snapshot: Path) -> Any:
    """The FAISS index of a snapshot, mapped like the arrays; None where it has none that this FAISS can read.

    Then it is made again, and searches look at more rows meanwhile.
    """
    file = snapshot / VECTOR_BASE
    try:
        return faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC) if file.exists() else None
    except RuntimeError as error:
        log.warning("%s is built again: %s", file, str(error).splitlines()[0])
        return None


# The columns of thousands of sparse attributes lie one after another in one file each: those of their values, those of
# their pairs, and the letters of their texts.
_BY_VALUE = ("numbers", "dates")
_BY_PAIR = ("slots", "codes")
_OF_TEXTS = ("letters", "ends", "hashes")
_JOINED = tuple(f"attribute_{name}" for name in (*_BY_VALUE, *_BY_PAIR, *_OF_TEXTS, "bounds"))


def _joined(attributes: Mapping[str, StoredAttribute]) -> dict[str, AnyArray]:
    """File name -> that column of all attributes; `attribute_bounds` says where each ends: values, pairs, letters."""
    stored = [BLANK, *attributes.values()]
    joined = {n: np.concatenate([getattr(one, n) for one in stored]) for n in (*_BY_VALUE, *_BY_PAIR)}
    joined |= {n: np.concatenate([getattr(one.texts, n) for one in stored]) for n in _OF_TEXTS}
    sizes = [[len(one.numbers), len(one.slots), len(one.texts.letters)] for one in stored]
    joined["bounds"] = np.cumsum(np.array(sizes, np.int64), axis=0)
    return {f"attribute_{name}": column for name, column in joined.items()}


def _split(names: Sequence[str], joined: Mapping[str, AnyArray]) -> dict[str, StoredAttribute]:
    """The reverse of `_joined`. names: in the order of the columns."""
    columns = {name: joined[f"attribute_{name}"] for name in (*_BY_VALUE, *_BY_PAIR, *_OF_TEXTS)}
    bounds = joined["attribute_bounds"].tolist()
    attributes = {}
    for name, begin, end in zip(names, bounds[:-1], bounds[1:], strict=True):
        of_value, of_pair, of_letter = (slice(b, e) for b, e in zip(begin, end, strict=True))
        attributes[name] = StoredAttribute(
            StoredTexts(columns["letters"][of_letter], columns["ends"][of_value], columns["hashes"][of_value]),
            columns["numbers"][of_value],
            columns["dates"][of_value],
            columns["slots"][of_pair],
            columns["codes"][of_pair],
        )
    return attributes


def stored_documents(folder: Path) -> dict[str, bytes]:
    """Document id -> text of all that the newest good snapshot of an index has; {} where it has none.

    Only reads, so that it may be called beside a running service.
    """
    for snapshot in snapshots(folder):
        with suppress(Corrupt):
            manifest = _manifest(snapshot)
            for name in ("live.npy", "document_ends.npy"):
                _require(snapshot / name, manifest.files[name])
            texts = work_folder(folder, manifest.generation) / "documents"
            _require(texts, manifest.documents_sha256, manifest.documents_bytes)
            content = texts.read_bytes()
            ends = np.load(snapshot / "document_ends.npy").tolist()
            live = np.flatnonzero(np.load(snapshot / "live.npy")).tolist()
            documents = [content[ends[slot] : ends[slot + 1]] for slot in live]
            return {msgspec.json.decode(text, type=_Named).id: text for text in documents}
    return {}


class _Named(msgspec.Struct):
    id: str


def model_of(snapshot: Path) -> str:
    """Digest of the model that made a snapshot's vectors. Raises Corrupt."""
    return _manifest(snapshot).model


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
        if not _is_of(snapshot, generation):
            shutil.rmtree(snapshot, ignore_errors=True)


def is_kept(folder: Path, generation: str) -> bool:
    """Whether there is a snapshot of a generation."""
    return any(_is_of(snapshot, generation) for snapshot in snapshots(folder))


def _is_of(snapshot: Path, generation: str) -> bool:
    return f'"generation": "{generation}"' in (snapshot / "manifest.json").read_text()


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
