"""Laws of counts, on random catalogues in both engines: what a facet says is what a shopper gets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np
import pytest

from events.rules import BoostAction, Conditions, FilterAction, HideAction, PinAction, QueryPattern, Rule, SynonymAction
from searchsvc.engines.opensearch.node import Node
from searchsvc.engines.protocol import EngineSnapshot, Upsert
from searchsvc.engines.retrieval import FacetRange, FacetRequest
from searchsvc.search.answer import SearchAnswer
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from tests.factories import NOW, FakeEmbedder, engine, opensearch_engine, serving, upsert, with_rules

# Some catalogues have more matches than the pages of a search reach.
SIZES: Final = (0, 7, 40, 300, 1500)
CASES: Final = 10
ROUNDS: Final = int(os.environ.get("SEARCHSVC_TEST_ROUNDS", "1"))
# Values of each facet that are chosen.
CHOSEN: Final = 4
PAGE: Final = 250
_WORDS: Final = "red blue green shoe shoes boot rain jacket wool sock mx-500 17 inch wifi café lamp desk light"
WORDS: Final = tuple(_WORDS.split())
BRANDS: Final = ("Ab", "AB", "ab", "Straße", "STRASSE", "Café", "Cafe\u0301", "007", "7", 7, "x y", "a:b", '"q"', "*")
PRICES: Final = (5, 7.5, 12, 19.99, 2**53 + 1, 2**53, "1,299.00 €", "99,90 €")
FIELDS: Final = ("brand", "tags", "price", "stock", "variants.size", "Product Type", "none")
CLAUSES: Final = ("price>10", "brand:ab", "stock:true", "NOT tags:x", "variants.size:[1 TO 2]", "tags:x OR brand:7")
RULES: Final = {
    "pin": Rule((PinAction("d3", 1), PinAction("d5", 2))),
    "hide": Rule((HideAction("d4"), HideAction(filter="tags:y"))),
    "narrow": Rule((FilterAction("NOT brand:7"),), conditions=Conditions(query=QueryPattern("contains", "red"))),
    "boost": Rule((BoostAction(3.0, "price>10"),)),
    "synonym": Rule((SynonymAction(("boot", "rain shoe")),)),
}


class Random:
    """Draws a catalogue and searches of it. seed: the same draws the same"""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def pick(self, values: Any) -> Any:
        return values[int(self._rng.integers(len(values)))]

    def chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    def words(self, most: int) -> str:
        return " ".join(self.pick(WORDS) for _ in range(int(self._rng.integers(0, most + 1))))

    def document(self, number: int) -> Upsert:
        members: dict[str, object] = {"votes": int(self._rng.integers(9))}
        if self.chance(0.8):
            members["brand"] = self.pick(BRANDS)
        if self.chance(0.6):
            members["tags"] = [self.pick(("x", "X", "y", 1, 2.5, True)) for _ in range(int(self._rng.integers(1, 4)))]
        if self.chance(0.7):
            members["price"] = self.pick(PRICES)
        if self.chance(0.5):
            members["stock"] = self.pick(("yes", "no", True, False))
        if self.chance(0.4):
            members["variants"] = [{"size": int(self._rng.integers(1, 4))} for _ in range(2)]
        if self.chance(0.3):
            members["Product Type"] = self.pick(("lamp", "Lamp", "desk lamp"))
        return upsert(f"d{number}", self.words(4), self.words(6), seed=number % 50, **members)

    def query(self) -> str:
        signed = (f'"{self.pick(WORDS)} {self.pick(WORDS)}"', f"{self.words(2)} -rain")
        drawn: str = self.pick(("", self.words(1), self.words(3), self.words(3), *signed, "sheo", "zzzz", "!"))
        return drawn

    def request(self) -> SearchRequest:
        facets: list[str | FacetRequest] = [
            FacetRequest(
                field,
                max_values=int(self._rng.integers(1, 30)),
                disjunctive=self.chance(0.4),
                ranges=(FacetRange(below=10), FacetRange(low=10, high=2**53), FacetRange(above=2**53)),
            )
            for field in FIELDS
        ]
        return SearchRequest(
            query=self.query(),
            filters=self.pick(("", "", *CLAUSES)),
            scope=self.pick(("", "", "", *CLAUSES)),
            operator=self.pick(("auto", "auto", "all", "any")),
            retrieval=self.pick(("", "", "keyword", "vector", "hybrid")),
            sort=self.pick(([], [], ["price:asc"], ["brand:desc", "tags:asc"])),
            facets=facets,
            limit=int(self._rng.integers(0, 30)),
        )

    def rules(self) -> dict[str, Rule]:
        return {name: rule for name, rule in RULES.items() if self.chance(0.3)}


@pytest.fixture(scope="module", params=["embedded", "opensearch"])
def catalogues(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[EngineSnapshot]:
    snapshots: list[EngineSnapshot] = []
    for seed, size in enumerate(SIZES):
        random = Random(seed)
        documents = [random.document(number) for number in range(size)]
        if request.param == "opensearch":
            node: Node = request.getfixturevalue("node")
            snapshots.append(opensearch_engine(node, documents).snapshot())
        else:
            snapshots.append(engine(tmp_path_factory.mktemp("index"), documents).snapshot())
    return snapshots


def search(snapshot: EngineSnapshot, request: SearchRequest, rules: dict[str, Rule]) -> SearchAnswer:
    request.check()
    state = with_rules(serving(snapshot), rules)
    return Searcher(FakeEmbedder(), n_candidates=100).search(state, "shop", request, query_id="q", now=NOW).answer


@pytest.mark.parametrize("case", range(CASES * ROUNDS))
def test_choosing_a_value_gives_its_count_and_pages_add_up(catalogues: list[EngineSnapshot], case: int) -> None:
    for number, snapshot in enumerate(catalogues):
        random = Random(1000 * case + number)
        request, rules = random.request(), random.rules()
        answer = search(snapshot, request, rules)
        if not is_nearest(answer):
            for condition, count in choices(request, answer):
                refined = msgspec.structs.replace(
                    request, filters=condition, facets=[], limit=0, retrieval=answer.retrieval
                )
                clicked = search(snapshot, refined, rules)
                assert (0 if is_nearest(clicked) else clicked.total) == count, (case, number, request, condition)
        hits = []
        for offset in range(0, min(answer.total, 1000), PAGE):
            page = search(snapshot, msgspec.structs.replace(request, offset=offset, limit=PAGE, facets=[]), rules)
            assert page.total == answer.total, (case, number, request)
            hits += [hit.id for hit in page.hits]
        assert len(set(hits)) == len(hits) == min(answer.total, 1000), (case, number, request)


def is_nearest(answer: SearchAnswer) -> bool:
    """Whether nothing that matches passes the filters, so that these are the nearest documents that do."""
    return any(relaxation.part == "neighbours" for relaxation in answer.relaxed)


def choices(request: SearchRequest, answer: SearchAnswer) -> Iterator[tuple[dict[str, object], int]]:
    """Yield the filters of a shopper who chooses a value or a range of a facet, and how many documents it promises."""
    filters = str(request.filters)
    for facet_request in request.facet_requests():
        field, facet = facet_request.field, answer.facets[facet_request.field]
        replaces = facet_request.disjunctive and field in filters
        if replaces and " OR " in filters:
            continue
        others = [parsed(filters)] if filters and not replaces else []
        for value in facet.values[:CHOSEN]:
            yield {"all": [{"field": field, "is": value.value}, *others]}, value.count
        for bounds in facet.ranges:
            members = msgspec.to_builtins(msgspec.structs.replace(bounds, count=None))
            yield {"all": [{"field": field, **members}, *others]}, bounds.count or 0


def parsed(text: str) -> dict[str, object]:
    """Return one of `CLAUSES` in the JSON form of filters."""
    if text.startswith("NOT "):
        return {"not": parsed(text.removeprefix("NOT "))}
    if " OR " in text:
        return {"any": [parsed(part) for part in text.split(" OR ")]}
    if ">" in text:
        field, _, low = text.partition(">")
        return {"field": field, "above": float(low)}
    field, _, value = text.partition(":")
    if value.startswith("["):
        low, _, high = value.strip("[]").partition(" TO ")
        return {"field": field, "from": float(low), "to": float(high)}
    return {"field": field, "is": value}
