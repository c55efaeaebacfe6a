"""Documents as the node stores them."""

from __future__ import annotations

from searchsvc.analysis.analyzer import analyze
from searchsvc.analysis.languages import DEFAULT
from searchsvc.engines.opensearch.attribute_columns import attribute_columns, document_kinds
from searchsvc.engines.opensearch.columns import from_base64
from searchsvc.engines.opensearch.stored_documents import (
    MAX_SHORT_BYTES,
    analyses_of,
    distinct_words,
    position_tokens,
    stored_document,
    title_key,
    tombstone,
)
from tests.factories import DIMENSION, SETTINGS, upsert


def test_a_document_is_stored_with_its_stems_attributes_and_columns() -> None:
    document = upsert("1", "Running shoes", "dv-7", seed=1, votes=5, brand="HP", made="1970-01-02")
    stored = stored_document(
        document, analyses_of(document.members, SETTINGS), SETTINGS, 3, dimension=DIMENSION, knn=True
    )
    assert (stored["id"], stored["live"], stored["seq"]) == ("1", True, 3)
    assert stored["all"] == ["run shoe", "dv|dv7 7"]
    assert stored["words"] == ["7", "dv", "dv7", "running", "shoes"]
    assert stored["stems"] == ["0:run", "0:shoe", "1:7", "1:dv", "1:dv7"]
    assert stored["signals"] == {"0": 0.5}
    assert stored["a"] == attribute_columns(document.members)
    assert stored["kinds"] == document_kinds(document.members)
    assert from_base64(stored["short"]) == document.text
    assert len(stored["vector"]) == DIMENSION


def test_a_long_document_is_not_reported_with_each_hit_and_vectors_only_where_the_node_searches_them() -> None:
    document = upsert("1", "shoe", "word " * MAX_SHORT_BYTES, seed=1)
    stored = stored_document(
        document, analyses_of(document.members, SETTINGS), SETTINGS, 1, dimension=DIMENSION, knn=False
    )
    assert "short" not in stored
    assert "vector" not in stored
    assert "bytes" in stored


def test_a_tombstone_tells_why_a_document_was_refused() -> None:
    assert tombstone("1", 3) == {"id": "1", "live": False, "seq": 3}
    assert tombstone("1", 3, "too long")["refused"] == "too long"


def test_words_and_compounds_share_their_first_position() -> None:
    analysis = analyze('17" wi-fi')
    assert list(position_tokens(analysis, DEFAULT)) == ["17|17inch", "inch", "wi|wifi", "fi"]
    assert distinct_words(analysis) == {"17", "inch", "17inch", "wi", "fi", "wifi"}


def test_titles_with_the_same_words_have_the_same_key() -> None:
    assert title_key(["red", "shoe"]) == title_key(["red", "shoe"]) != title_key(["redshoe"])
