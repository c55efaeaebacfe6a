"""The readable query that a learner gets with each event."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from searchsvc.behavior.keyring import KEYRING_NAME, Keyring, seal_ranking
from searchsvc.learning.teacher import Teacher
from searchsvc.state.serving import Serving
from tests.factories import NOW, SETTINGS, ranking
from tests.simulation.shop import index
from tuning.clicks.pages import SETTLE
from tuning.online.learner import IndexLearner

LEARNER_INDEX = index(settings=SETTINGS)


def queries_learnt(tmp_path: Path, query: str, *, erase: bool = False, seal: bool = True) -> int:
    """Show one ranking, and return the number of queries that the learner has statistics of."""
    keyring = Keyring(tmp_path / KEYRING_NAME)
    user = keyring.user("anna", NOW)
    keyring.flush()
    shown = msgspec.structs.replace(ranking(), query=query, user=user.pseudonym)
    shown = seal_ranking(shown, user) if seal else shown
    if erase:
        keyring.erase("anna", NOW)
    learner = IndexLearner(LEARNER_INDEX, SETTLE)
    Teacher(Serving(), keyring).show(learner, shown)
    keyring.close()
    assert len(learner.behavior.coec.documents.subjects) == 3, "documents count whatever the query"
    return len(learner.behavior.coec.queries.subjects)


def test_a_sealed_query_is_learnt_from(tmp_path: Path) -> None:
    assert queries_learnt(tmp_path, "red shoe") == 1


@pytest.mark.parametrize(
    ("query", "erase", "seal"),
    [
        ("mail to [e-mail]", False, True),
        ("red shoe", True, True),
        ("red shoe", False, False),
        ("  ", False, True),
    ],
)
def test_a_query_that_is_personal_erased_unsealed_or_empty_is_not_learnt_from(
    tmp_path: Path, query: str, erase: bool, seal: bool
) -> None:
    assert queries_learnt(tmp_path, query, erase=erase, seal=seal) == 0
