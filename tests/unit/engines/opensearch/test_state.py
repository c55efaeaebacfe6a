"""What the service knows of an index after one write."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from events.digest import DocumentsDigest
from events.errors import InvalidInput
from searchsvc.analysis.query import Query
from searchsvc.engines.filters import Is, parse_filter
from searchsvc.engines.opensearch.snapshot import OpenSearchSnapshot
from searchsvc.engines.retrieval import Retrieval
from tests.unit.engines.opensearch.fake_node import FakeNode
from tests.unit.engines.opensearch.states import state_on

STATE = state_on(FakeNode(lambda *_: None))
BROWSE = Retrieval(Query(""), None, {}, np.zeros(1, np.float32), k=1, window=1)


@pytest.mark.parametrize("text", ["nope:1", "brand>3", "votes>2020-01-01", "made>3"])
def test_a_filter_on_values_that_no_document_has_is_refused(text: str) -> None:
    condition = parse_filter(text)
    assert condition is not None
    with pytest.raises(InvalidInput) as refused:
        STATE.check_filter(condition, "filters")
    assert refused.value.field == "filters"


@pytest.mark.parametrize("text", ["brand:x", "votes>3", "made>2020-01-01", "id:7"])
def test_a_filter_on_existing_attributes_is_accepted(text: str) -> None:
    condition = parse_filter(text)
    assert condition is not None
    STATE.check_filter(condition, "filters")


def test_a_filter_of_an_unknown_attribute_is_refused_unless_the_index_is_empty() -> None:
    condition = Is("nope", ("1",))
    with pytest.raises(InvalidInput, match="nope") as refused:
        STATE.check_filter(condition, "filters")
    assert refused.value.field == "filters"
    empty = msgspec.structs.replace(STATE, attribute_kinds={}, digest=DocumentsDigest())
    empty.check_filter(condition, "filters")


def test_a_snapshot_shows_its_state_and_opens_readings_of_it() -> None:
    snapshot = OpenSearchSnapshot(STATE)
    assert (snapshot.generation, snapshot.catalog_seq, snapshot.n_documents) == ("shop-v1", 3, 3)
    assert (snapshot.is_fast, snapshot.encodes_concurrently) == (False, False)
    assert snapshot.lexicon.count("red") == 2
    first, second = snapshot.reading(), snapshot.reading()
    assert first is not second
    assert first.snapshot is snapshot
