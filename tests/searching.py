"""Small indexes and searches of them, without a service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from events.rules import PinAction, Rule
from searchsvc.search.answer import SearchAnswer, SearchOutcome
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tests.factories import NOW, FakeEmbedder, engine, serving, upsert, with_rules
from tests.rules import when

DOCUMENTS = [
    upsert("a", "red shoe", "light", brand="Ab", votes=1),
    upsert("b", "red shoe", "heavy", brand="Cd", votes=10),
    upsert("c", "red shoe large", brand="Cd", votes=5),
    upsert("d", "red boot", brand="Ef", votes=2),
    upsert("e", "blue sock", brand="Ef", votes=3),
    upsert("f", "green hat", brand="Gh"),
]
PIN = Rule((PinAction("e", 1),), conditions=when("shoe"))


def red_shoes(folder: Path, n: int = 40, **weights: float) -> ServingState:
    """Return a state of n documents `d00` ... with the titles `Red shoe 0` ... and a vector each."""
    documents = [upsert(f"d{i:02d}", f"Red shoe {i}", f"text {i % 3}", seed=i) for i in range(n)]
    return serving(engine(folder, documents).snapshot(), **weights)


def shoe_shop(folder: Path, **rules: Rule) -> ServingState:
    """Return a state of `DOCUMENTS` with rules by id; votes do not count."""
    return with_rules(serving(engine(folder, DOCUMENTS).snapshot(), signal__votes=0.0), rules)


def search(state: ServingState, query: str, n_candidates: int = 100, **members: Any) -> SearchOutcome:
    """Search with vectors."""
    request = SearchRequest(query=query, **members)
    request.check()
    searcher = Searcher(FakeEmbedder(), n_candidates=n_candidates)
    return searcher.search(state, "shop", request, query_id="q", now=NOW)


def answer(state: ServingState, query: str = "red shoe", n_candidates: int = 100, **members: Any) -> SearchAnswer:
    """Search without vectors."""
    request = SearchRequest(query=query, **members)
    request.check()
    return Searcher(None, n_candidates=n_candidates).search(state, "shop", request, query_id="q", now=NOW).answer


def hit_ids(answered: SearchAnswer) -> list[str]:
    """Return the ids of the hits, in order."""
    return [hit.id for hit in answered.hits]
