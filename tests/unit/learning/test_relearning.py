"""Relearning an index from the log."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from events.codec import encode
from events.types import BehaviorBatch, BehaviorEvent
from searchsvc.behavior.keyring import KEYRING_NAME, Keyring
from searchsvc.learning.relearning import LogLearner
from searchsvc.learning.teacher import Teacher
from searchsvc.state.serving import Serving
from tests.factories import click, ranking
from tests.simulation.shop import index
from tests.unit.learning.learning_shop import learning_shop
from tuning.clicks.pages import SETTLE
from tuning.online.learner import IndexLearner


def batch(*events: BehaviorEvent) -> bytes:
    return encode(BehaviorBatch(events=list(events)))


def test_a_log_learner_joins_the_events_of_its_index_and_skips_others(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / KEYRING_NAME)
    reader = LogLearner("shop", IndexLearner(index(), SETTLE, silent=True), Teacher(Serving(), keyring))
    shown = msgspec.structs.replace(ranking(), user="u1")
    reader.learn(batch(click(), shown, msgspec.structs.replace(ranking("q2"), index="another")))
    keyring.close()
    assert reader.n_events == 2
    documents = reader.learner.behavior.coec.documents.subjects
    assert (documents["a"].clicks, documents["b"].clicks) == (1.0, 0.0)


class FailingTeacher(Teacher):
    """Fails on every ranking."""

    def show(self, learner: IndexLearner, event: object) -> None:
        raise ZeroDivisionError("a fault")


def test_an_event_that_fails_does_not_stop_the_events_after_it(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / KEYRING_NAME)
    reader = LogLearner("shop", IndexLearner(index(), SETTLE, silent=True), FailingTeacher(Serving(), keyring))
    reader.learn(batch(ranking(), ranking("q2")))
    keyring.close()
    assert reader.n_events == 2


@pytest.mark.anyio
async def test_relearning_reads_up_to_what_was_handed_over(tmp_path: Path) -> None:
    async with learning_shop(tmp_path) as shop:
        relearner = shop.learners._relearner
        await shop.learners.step()
        await shop.show_clicks(5)
        await relearner.relearn("shop")
        status = await shop.learners.status("shop")
        assert (status.message, status.n_documents) == ("relearnt from the log: 10 events", 3)
        await shop.learners.step()
        documents = shop.learners._learners._learners["shop"].behavior.coec.documents.subjects
        assert documents["b"].clicks == pytest.approx(5.0, rel=1e-4), "events that wait in the queue count once"
