"""States of an index on a fake node."""

from __future__ import annotations

import numpy as np

from events.digest import DocumentsDigest
from searchsvc.engines.opensearch.concrete import ConcreteIndex
from searchsvc.engines.opensearch.node import Node
from searchsvc.engines.opensearch.state import IndexState
from searchsvc.engines.opensearch.vocabulary import Vocabulary
from searchsvc.engines.values import kinds_of
from tests.factories import DIMENSION, SETTINGS


def state_on(node: Node) -> IndexState:
    """Return the state of an index of three documents."""
    vocabulary = Vocabulary(2)
    vocabulary.add([[{"red", "shoe"}, set()], [{"red", "sock"}, set()], [{"blue", "shoe"}, set()]])
    return IndexState(
        index=ConcreteIndex(node, "shop-v1"),
        settings=SETTINGS,
        dimension=DIMENSION,
        catalog_seq=3,
        digest=DocumentsDigest().changed([b"1", b"2", b"3"], []),
        vocabulary=vocabulary.view(),
        attribute_kinds={
            "brand": frozenset(kinds_of("HP")),
            "votes": frozenset(kinds_of(5)),
            "made": frozenset(kinds_of("2020-01-01")),
        },
        vector_sum=np.zeros(DIMENSION),
        vectors=None,
        refusals={},
    )
