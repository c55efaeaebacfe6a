"""How an index and its documents look on the node. Pure.

Texts are analysed here, by `searchsvc.analysis.analyzer`, and come to the node as stems in a row, so
both engines find the same
words; what stands at one position is joined by `|`. Members of a document can be of several kinds at once, as in the
embedded engine: `a.<member>.v` has its values as they are shown, `.f` its texts folded, `.n` its numbers, `.d` its
dates in seconds since 1970, `.s` its texts as they sort, `.g` the first of its values. A deleted document stays as a
tombstone that is not `live`, so that an older version of it never comes back.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, unquote

import numpy as np

from events.settings import IndexSettings
from searchsvc.analysis.analyzer import Analysis, analyze
from searchsvc.analysis.document_text import field_text
from searchsvc.analysis.stemming import stem
from searchsvc.engines import signals
from searchsvc.engines.attributes import AttributeValue, attributes_of, number_text
from searchsvc.engines.columnar.statistics import K1, B, words_hash
from searchsvc.engines.dates import epoch_seconds
from searchsvc.engines.protocol import Upsert
from tuning.arrays import FloatArray

BESIDE: Final = "|"
# Our analyzer on the node.
STEMS: Final = "stems"
FIELD_GAP: Final = 100
SCHEMA: Final = 7
# The node takes no longer ones.
MAX_ID_BYTES: Final = 500
MAX_FIELDS: Final = 10_000
MAX_TOKEN_CHARS: Final = 1000
PROGRESS_ID: Final = "progress"
VECTOR: Final = "vector"
COLUMNS: Final = "columns"
SHORT: Final = "short"
# A longer document is read for a page only: here it would be read with each candidate.
MAX_SHORT: Final = 2048


def index_body(
    settings: IndexSettings, dimension: int, *, knn: bool = True, n_shards: int = 1, n_replicas: int = 0
) -> dict[str, Any]:
    """Settings and mapping of a new index. dimension: of vectors, 0 where it holds none. knn: whether the node looks
    for the nearest; where it does not, it only keeps them."""
    text = {"type": "text", "analyzer": STEMS}
    kept = {"type": "double", "index": False}
    properties: dict[str, Any] = {
        "id": {"type": "keyword"},
        "live": {"type": "boolean"},
        "seq": {"type": "long"},
        "document": {"type": "keyword", "index": False, "doc_values": False},
        "bytes": {"type": "binary"},
        COLUMNS: {"type": "binary", "doc_values": True},
        SHORT: {"type": "binary", "doc_values": True},
        "refused": {"type": "keyword"},
        "state": {"type": "object", "enabled": False},
        "text": {"properties": {str(column): text for column, _ in enumerate(settings.searchable)}},
        # All fields one after another, far enough apart: which words a document holds, and how near each other.
        "all": {
            "type": "text",
            "analyzer": STEMS,
            "similarity": "nearness",
            "norms": False,
            "position_increment_gap": FIELD_GAP,
        },
        "title": {"type": "keyword"},
        "words": {"type": "keyword"},
        "stems": {"type": "keyword"},
        "signals": {"properties": {str(column): kept for column, _ in enumerate(settings.signals)}},
        "a": {"type": "object", "dynamic": True},
    }
    if dimension and knn:
        method = {"name": "hnsw", "engine": "lucene", "space_type": "innerproduct"}
        properties[VECTOR] = {"type": "knn_vector", "dimension": dimension, "method": method}
    kinds = {"v": "keyword", "f": "keyword", "s": "keyword", "g": "keyword", "n": "double", "d": "double"}
    # A node without the plugin does not know the setting.
    with_vectors = {"knn": True} if dimension and knn else {}
    return {
        "settings": {
            "index": {
                "number_of_shards": n_shards,
                "number_of_replicas": n_replicas,
                "refresh_interval": "-1",
                **with_vectors,
                "mapping.total_fields.limit": MAX_FIELDS,
                "similarity": {
                    "default": {"type": "BM25", "k1": K1, "b": B},
                    "nearness": {"type": "scripted", "script": {"source": "return query.boost * doc.freq;"}},
                },
            },
            "analysis": {
                "tokenizer": {"positions": {"type": "whitespace", "max_token_length": MAX_TOKEN_CHARS}},
                "filter": {
                    "beside": {"type": "pattern_capture", "preserve_original": False, "patterns": [r"([^|]+)"]},
                },
                "analyzer": {STEMS: {"type": "custom", "tokenizer": "positions", "filter": ["beside"]}},
            },
        },
        "mappings": {
            "dynamic": "strict",
            "_meta": {"schema": SCHEMA},
            # All else is worked out from the document, and would be read again with each hit.
            "_source": {"includes": ["id", "document", "bytes", "live", "state", "refused"]},
            "properties": properties,
            "dynamic_templates": [
                {kind: {"path_match": f"a.*.{kind}", "mapping": {"type": of}}} for kind, of in kinds.items()
            ],
        },
    }


def node_id(document_id: str) -> str:
    """What the node calls a document: never what it calls its progress."""
    encoded = document_id.encode()
    return f"d{document_id}" if len(encoded) < MAX_ID_BYTES else f"h{hashlib.sha256(encoded).hexdigest()}"


def member_path(member: str, kind: str) -> str:
    """The field of one kind of values of a member: see above."""
    return f"a.{encoded(member)}.{kind}"


def encoded(member: str) -> str:
    """Never empty, which the node takes for no name: a member may be."""
    return "m" + quote(member, safe="").replace(".", "%2E").replace("*", "%2A")


def decoded(member: str) -> str:
    return unquote(member[1:])


def tombstone(name: str, seq: int, refused: str = "") -> dict[str, Any]:
    """refused: why the node did not take the document; '' where it was deleted."""
    return {"id": name, "live": False, "seq": seq, **({"refused": refused} if refused else {})}


class Columns:
    """What a hit brings with it, in one field, because each costs with each hit: its signals and its vector. dimension:
    of vectors, 0 where there are none."""

    def __init__(self, n_signals: int, dimension: int) -> None:
        self._n_signals, self._dimension = n_signals, dimension
        self._vector_at = 4 * n_signals
        self._n_bytes = self._vector_at + (4 + dimension if dimension else 0)

    def packed(self, signals: FloatArray, vector: FloatArray | None) -> str:
        held = _packed(vector) if self._dimension and vector is not None and vector.any() else b""
        numbers = np.asarray(signals, "<f4").tobytes() + held
        return base64.b64encode(numbers.ljust(self._n_bytes, b"\0")).decode()

    def signals(self, rows: Sequence[str]) -> FloatArray:
        """(n, n_signals)"""
        numbers = b"".join(of_base64(row)[: self._vector_at] for row in rows)
        return np.frombuffer(numbers, "<f4").reshape(len(rows), self._n_signals)

    def vectors(self, rows: Sequence[str]) -> FloatArray:
        """(n, dimension), zeros where a document has none"""
        return unpacked([of_base64(row)[self._vector_at :] for row in rows], self._dimension)


def stored(
    upsert: Upsert,
    analyses: Sequence[Analysis],
    settings: IndexSettings,
    seq: int,
    *,
    dimension: int,
    knn: bool = True,
) -> dict[str, Any]:
    """A document as the node holds it. analyses: of its searchable fields. dimension, knn: as in `index_body`."""
    title = [field.name for field in settings.searchable].index(settings.title)
    kept = signals.stored(settings.signals, [upsert.members])[0]
    words = [distinct_words(analysis) for analysis in analyses]
    texts = [" ".join(positions(analysis)) for analysis in analyses]
    document: dict[str, Any] = {
        "id": upsert.id,
        "live": True,
        "seq": seq,
        "document": upsert.text.decode(),
        "text": {str(column): text for column, text in enumerate(texts)},
        "all": texts,
        "title": title_key(analyses[title].words),
        "words": sorted(set().union(*words)),
        "stems": sorted({f"{column}:{stem(word)}" for column, held in enumerate(words) for word in held}),
        "signals": {str(column): float(value) for column, value in enumerate(kept) if not np.isnan(value)},
        "a": {encoded(name): _kinds(values) for name, values in attributes_of(upsert.members)},
        COLUMNS: Columns(len(settings.signals), dimension).packed(kept, upsert.vector),
    }
    if len(upsert.text) <= MAX_SHORT:
        document[SHORT] = base64.b64encode(upsert.text).decode()
    if upsert.vector is not None and upsert.vector.any():
        if knn:
            document[VECTOR] = [float(value) for value in upsert.vector]
        document["bytes"] = base64.b64encode(_packed(upsert.vector)).decode()
    return document


def analyses_of(members: Mapping[str, object], settings: IndexSettings) -> list[Analysis]:
    return [analyze(field_text(members, field)) for field in settings.searchable]


def distinct_words(analysis: Analysis) -> set[str]:
    return {*analysis.words, *(compound.text for compound in analysis.compounds)}


def positions(analysis: Analysis) -> Iterator[str]:
    """What stands at each position: the word's stem, and those of compounds that begin there."""
    beside: dict[int, list[str]] = {}
    for compound in analysis.compounds:
        beside.setdefault(compound.start, []).append(stem(compound.text))
    for place, word in enumerate(analysis.words):
        yield BESIDE.join([stem(word), *beside.get(place, ())])


def title_key(words: Sequence[str]) -> str:
    """What tells one row of words from another, as the node holds it."""
    return f"{words_hash(words):016x}"


def _packed(vector: FloatArray) -> bytes:
    """A vector as one byte a dimension, behind the scale that these are multiplied by."""
    scale = np.float32(np.abs(vector).max() / 127)
    whole: bytes = scale.tobytes() + np.rint(vector / scale).astype(np.int8).tobytes()
    return whole


def of_base64(text: str) -> bytes:
    """The bytes of a text that the node gives back without what fills it up."""
    return binascii.a2b_base64(text + "==")


def unpacked(rows: Sequence[bytes], dimension: int) -> FloatArray:
    """(n, dimension) of what was packed; zeros for b''."""
    blank = bytes(4 + dimension)
    table = np.frombuffer(b"".join(row or blank for row in rows), np.uint8).reshape(len(rows), 4 + dimension)
    scales = np.ascontiguousarray(table[:, :4]).view(np.float32)
    vectors: FloatArray = table[:, 4:].view(np.int8).astype(np.float32) * scales
    return vectors


def kinds_of(members: Mapping[str, object]) -> dict[str, frozenset[str]]:
    """Of which kinds the values of each member are."""
    return {name: frozenset(_kinds(values)) for name, values in attributes_of(members)}


def _kinds(values: Sequence[AttributeValue]) -> dict[str, Any]:
    distinct = list(dict.fromkeys(values))
    texts = [value for value in distinct if isinstance(value, str)]
    numbers = [value for value in distinct if isinstance(value, float)]
    kinds: dict[str, list[Any]] = {
        "v": [value if isinstance(value, str) else number_text(value) for value in distinct],
        "f": list(dict.fromkeys(text.casefold() for text in texts)),
        "n": numbers,
        "d": [at for text in texts if (at := epoch_seconds(text)) is not None],
        "s": [f"{text.casefold()}\0{text}" for text in texts],
        "g": [_group(distinct)],
    }
    return {kind: held for kind, held in kinds.items() if held}


def _group(values: Sequence[AttributeValue]) -> str:
    """The first text, or else the first number, told apart."""
    texts = [value for value in values if isinstance(value, str)]
    return f"t{texts[0]}" if texts else f"n{values[0]!r}"
