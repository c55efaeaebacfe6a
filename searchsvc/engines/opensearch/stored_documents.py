"""A document as the node stores it. See `searchsvc.engines.opensearch.mapping` for its fields. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from events.settings import IndexSettings
from searchsvc.analysis.analyzer import Analysis, analyze
from searchsvc.analysis.document_text import field_text
from searchsvc.analysis.languages import Languages
from searchsvc.analysis.title_heads import MAX_TITLE_WORDS
from searchsvc.engines import signals
from searchsvc.engines.columnar.statistics import words_hash
from searchsvc.engines.opensearch.attribute_columns import KINDS, attribute_columns, document_kinds
from searchsvc.engines.opensearch.columns import Columns, pack_vector
from searchsvc.engines.opensearch.mapping import COLUMNS, SAME_POSITION, SHORT, VECTOR
from searchsvc.engines.protocol import Upsert

# A longer document is read for a page only: each candidate would report it.
MAX_SHORT_BYTES: Final = 2048


def stored_document(
    upsert: Upsert,
    analyses: Sequence[Analysis],
    settings: IndexSettings,
    seq: int,
    *,
    dimension: int,
    knn: bool = True,
) -> dict[str, Any]:
    """Return a document as the node stores it.

    analyses: of its searchable fields
    seq: sequence of its CATALOG message
    dimension: of vectors, 0 without any
    knn: whether the node searches the vectors
    """
    title = [field.name for field in settings.searchable].index(settings.title)
    signal_row = signals.stored(settings.signals, [upsert.members])[0]
    words = [distinct_words(analysis) for analysis in analyses]
    languages = Languages.of_index(settings)
    texts = [" ".join(position_tokens(analysis, languages)) for analysis in analyses]
    document: dict[str, Any] = {
        "id": upsert.id,
        "live": True,
        "seq": seq,
        "document": upsert.text.decode(),
        "text": {str(column): text for column, text in enumerate(texts)},
        "all": texts,
        "title": title_key(analyses[title].words),
        "words": sorted(set().union(*words)),
        "stems": sorted(
            {f"{column}:{languages.stem(word)}" for column, of_field in enumerate(words) for word in of_field}
        ),
        "signals": {str(column): float(value) for column, value in enumerate(signal_row) if not np.isnan(value)},
        KINDS: document_kinds(upsert.members),
        "a": attribute_columns(upsert.members),
        COLUMNS: Columns(len(settings.signals), dimension).packed(
            signal_row, upsert.vector, [*map(languages.stem, analyses[title].words[:MAX_TITLE_WORDS])]
        ),
    }
    if len(upsert.text) <= MAX_SHORT_BYTES:
        document[SHORT] = base64.b64encode(upsert.text).decode()
    if upsert.vector is not None and upsert.vector.any():
        if knn:
            document[VECTOR] = [float(value) for value in upsert.vector]
        document["bytes"] = base64.b64encode(pack_vector(upsert.vector)).decode()
    return document


def tombstone(document_id: str, seq: int, refusal: str = "") -> dict[str, Any]:
    """Return what the node stores in place of a document that is gone, so that no older version of it comes back.

    refusal: why the node did not take the document; '' if it was deleted
    """
    return {"id": document_id, "live": False, "seq": seq, **({"refused": refusal} if refusal else {})}


def analyses_of(members: Mapping[str, object], settings: IndexSettings) -> list[Analysis]:
    """Return the analysis of each searchable field of a document."""
    return [analyze(field_text(members, field)) for field in settings.searchable]


def distinct_words(analysis: Analysis) -> set[str]:
    """Return the distinct words and compounds of a text."""
    return {*analysis.words, *(compound.text for compound in analysis.compounds)}


def position_tokens(analysis: Analysis, languages: Languages) -> Iterator[str]:
    """Yield the stems at each position: of the word, and of the compounds that begin there."""
    compounds: dict[int, list[str]] = {}
    for compound in analysis.compounds:
        compounds.setdefault(compound.start, []).append(languages.stem(compound.text))
    for position, word in enumerate(analysis.words):
        yield SAME_POSITION.join([languages.stem(word), *compounds.get(position, ())])


def title_key(words: Sequence[str]) -> str:
    """Return the key by which titles with the same words are found."""
    return f"{words_hash(words):016x}"
