"""Rehearsals: two states searched over the same documents, neither shown nor logged."""

from __future__ import annotations

from pathlib import Path

import pytest

from events import control
from events.edits import SetTrial, SetWeights
from events.errors import InvalidInput
from events.learning import Trial
from events.types import ChangePublished
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from tests.factories import NOW, FakeEmbedder
from tests.unit.service.test_searches import SearchSetup, set_up


async def setup(folder: Path) -> SearchSetup:
    return await set_up(folder, Searcher(FakeEmbedder(), n_candidates=10))


@pytest.mark.anyio
async def test_each_state_ranks_by_its_own_weights_and_nothing_is_logged(tmp_path: Path) -> None:
    running = await setup(tmp_path)
    base = running.serving.current.control
    edits = (SetWeights({name: 0.0 for name in base.index("shop").weights if name != "rr.keyword"}),)
    after = control.fold(base, ChangePublished(id="2", timestamp=NOW, index="shop", edits=edits), base.seq + 1)
    first, second = await running.rehearser.compare("shop", base, after, SearchRequest(query="red shoe 3"))
    assert (first.config_version, second.config_version) == (1, 2)
    assert first.hits[0].score > 0 == second.hits[0].score
    assert first.applied_catalog_seq == second.applied_catalog_seq
    assert len(running.rankings) == 0


@pytest.mark.anyio
async def test_a_rehearsal_draws_no_trial_and_explores_nothing(tmp_path: Path) -> None:
    running = await setup(tmp_path)
    state = running.serving.current
    trial = Trial("t", "gate", dict(state.control.index("shop").weights), 0.0)
    edits = (SetTrial(trial),)
    drawn = control.fold(state.control, ChangePublished(id="2", timestamp=NOW, index="shop", edits=edits), 2)
    outcome = await running.rehearser.search(drawn, state, "shop", SearchRequest(query="red shoe"))
    assert (outcome.shown.trial, outcome.shown.interleaving, outcome.shown.exploration) == ("", None, None)


@pytest.mark.anyio
async def test_a_wrong_request_is_refused_before_anything_is_searched(tmp_path: Path) -> None:
    running = await setup(tmp_path)
    base = running.serving.current.control
    with pytest.raises(InvalidInput):
        await running.rehearser.compare("shop", base, base, SearchRequest(limit=-1))
