"""Does a query without an answer get none, and one in other words still its answer?

Question   how many of 200 texts without meaning have hits; how many hits of sentences in other languages hold none of
           their words; how many paraphrases have hits, and how many judged queries whose words were taken out of the
           documents that answer them. By meaning alone, the same for other cuts: what they let in and keep out.
Data       a collection, with its judged queries; paraphrases, one a line (benchmarks/paraphrases)
Baseline   the cut that the index measures on itself
Command    searchsvc bench neighbours ../shared/data/movies --paraphrases benchmarks/paraphrases/movies.txt
"""

from __future__ import annotations

import random
import string
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import report
from benchmarks.bare import CANDIDATES
from benchmarks.collection import JudgedQuery, judged_queries
from benchmarks.indexed import build_index, embedded_texts, encode, inferred_settings, usable_documents
from benchmarks.inprocess import INDEX, NOW, serving
from benchmarks.model import packaged_model
from events.settings import IndexSettings, RetrievalMode
from searchsvc.analysis.analyzer import analyze, spans
from searchsvc.analysis.languages import DEFAULT
from searchsvc.embedding.embedder import Embedder
from searchsvc.indexing.documents import AcceptedDocument, parse_document
from searchsvc.indexing.neighbour_cut import probe_texts
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher
from searchsvc.state.serving_state import ServingState
from tuning.arrays import FloatArray

N_NONSENSE: Final = 200
N_JUDGED: Final = 200
MIN_KEPT: Final = 0.8
# Shares of texts without meaning that other cuts keep out.
QUANTILES: Final = (0.5, 0.75, 0.9, 1.0)
FOREIGN: Final = (
    "ich suche einen günstigen Drucker für das Büro",
    "wo finde ich gute Kopfhörer mit Kabel",
    "ein Film über einen Hai im Meer",
    "je cherche une imprimante pas chère pour la maison",
    "un film avec un requin dans l'océan",
    "quel est le meilleur ordinateur pour les étudiants",
    "busco una película de terror con fantasmas",
    "necesito un cable para conectar mi televisor",
    "una historia de amor en la guerra",
    "cerco un film divertente per bambini",
    "vorrei comprare una stampante a colori",
    "ik zoek een goedkope laptop voor school",
    "een film over de tweede wereldoorlog",
    "szukam dobrego filmu o miłości",
    "potrzebuję nowej klawiatury do komputera",
    "ucuz bir dizüstü bilgisayar arıyorum",
    "aşk hakkında bir film",
    "jag letar efter en billig skrivare",
    "en film om kriget i norden",
    "я ищу дешевый ноутбук для учебы",
    "фильм о любви и войне",
    "安いノートパソコンを探しています",
    "恋愛についての映画",
    "저렴한 노트북을 찾고 있어요",
    "busco um filme sobre o mar",
    "preciso de um teclado novo",
)


class _Searched(msgspec.Struct, frozen=True):
    """An index in this process. documents: by id"""

    state: ServingState
    searcher: Searcher
    documents: dict[str, AcceptedDocument]

    def hits(self, query: str, retrieval: RetrievalMode = "hybrid") -> list[str]:
        """Return the ids of up to a hundred hits."""
        request = SearchRequest(query=query, limit=100, retrieval=retrieval)
        answer = self.searcher.search(self.state, INDEX, request, query_id="bench", now=NOW).answer
        return [hit.id for hit in answer.hits]

    def share_with_hits(self, queries: Sequence[str], retrieval: RetrievalMode = "hybrid") -> float:
        return float(np.mean([bool(self.hits(query, retrieval)) for query in queries])) if queries else 0.0

    def with_cut(self, cut: float) -> _Searched:
        """Return the same index with another cut."""
        measured = msgspec.structs.replace(self.state.measured(INDEX), neighbour_cut=cut)
        measurements = MappingProxyType({INDEX: measured})
        return msgspec.structs.replace(self, state=msgspec.structs.replace(self.state, measurements=measurements))


def measure(folder: Path, *, paraphrases: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Search for what has no answer and for what has one in other words; return the result as it is written to JSON.

    Raises InvalidInput if the collection is not usable.
    """
    queries = judged_queries(folder)
    chosen = np.random.default_rng(report.SEED).permutation(len(queries))[:N_JUDGED]
    judged = [queries[i] for i in sorted(chosen.tolist())]
    others = [line.strip() for line in paraphrases.read_text().splitlines() if line.strip()] if paraphrases else []
    documents = usable_documents(folder)
    settings = inferred_settings(documents)
    nonsense = _nonsense()
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        embedder = Embedder(packaged_model(Path(scratch)), cache_size=10_000)
        vectors = encode(embedder, embedded_texts(documents, settings), say)
        index = _build(Path(scratch) / "whole", settings, documents, vectors, embedder)
        cut = index.state.measured(INDEX).neighbour_cut
        say("searching")
        n_nonsense = [len(index.hits(query)) for query in nonsense]
        strangers = [_without_its_words(index, query) for query in FOREIGN]
        kept_share = index.share_with_hits(others)
        say("taking the words of judged queries out of the documents that answer them")
        changed = _without_words(documents, judged)
        rows = [i for i, (new, old) in enumerate(zip(changed, documents, strict=True)) if new is not old]
        without_vectors = vectors.copy()
        without_vectors[rows] = encode(embedder, embedded_texts([changed[i] for i in rows], settings), say)
        without = _build(Path(scratch) / "without", settings, changed, without_vectors, embedder)
        kept_judged = without.share_with_hits([query.text for query in judged])
        say("trying other cuts")
        probes = embedder.encode_documents(probe_texts(N_NONSENSE))
        nearest = (vectors @ probes.T).max(axis=0)
        frontier = _frontier(index, without, nearest, others, judged)
    return {
        "benchmark": "neighbours",
        "question": "what has no answer gets none, and what is said in other words keeps its answer",
        "collection": folder.name,
        **report.environment(),
        "n_documents": len(documents),
        "cut": cut,
        "nonsense_with_hits": sum(map(bool, n_nonsense)),
        "foreign_hits_without_their_words": sum(strangers),
        "paraphrases": len(others),
        "paraphrases_kept": round(kept_share, 3),
        "judged": len(judged),
        "judged_kept": round(kept_judged, 3),
        "frontier": frontier,
        "checks": [
            _none("texts without meaning that have hits", sum(map(bool, n_nonsense))),
            _none("hits of foreign sentences without any of their words", sum(strangers)),
            *([_most("paraphrases that have hits", kept_share)] if others else []),
            _most("judged queries that keep hits without their words", kept_judged),
        ],
    }


def _none(name: str, n: int) -> report.Check:
    return report.Check(name, "0", str(n), n == 0)


def _most(name: str, share: float) -> report.Check:
    return report.Check(name, f">= {MIN_KEPT:.0%}", f"{share:.1%}", share >= MIN_KEPT)


def _build(
    folder: Path,
    settings: IndexSettings,
    documents: Sequence[AcceptedDocument],
    vectors: FloatArray,
    embedder: Embedder,
) -> _Searched:
    snapshot = build_index(folder, documents, settings, vectors)
    searcher = Searcher(embedder, n_candidates=CANDIDATES)
    return _Searched(serving(settings, snapshot, embedder), searcher, {d.id: d for d in documents})


def _nonsense() -> list[str]:
    """Return texts without a word: random letters, and signs."""
    rng = random.Random(report.SEED)  # noqa: S311 - nothing is kept secret by it
    signs = ["".join(rng.choices("!?.,;:-_#+*/()[]{}<>|~^°§$%&=", k=rng.randint(1, 8))) for _ in range(N_NONSENSE // 5)]
    words = [
        " ".join("".join(rng.choices(string.ascii_lowercase, k=rng.randint(6, 10))) for _ in range(rng.randint(1, 3)))
        for _ in range(N_NONSENSE - len(signs))
    ]
    return [*signs, *words]


def _stems(text: str) -> set[str]:
    return {DEFAULT.stem(word) for word in analyze(text).words}


def _stems_and_compounds(text: str) -> set[str]:
    analysis = analyze(text)
    return {DEFAULT.stem(word) for word in (*analysis.words, *(compound.text for compound in analysis.compounds))}


def _without_its_words(index: _Searched, query: str, retrieval: RetrievalMode = "hybrid") -> int:
    """Return how many hits of a query hold none of its words. I'm holds im."""
    words = _stems(query)
    texts = (" ".join(map(str, index.documents[hit].members.values())) for hit in index.hits(query, retrieval))
    return sum(words.isdisjoint(_stems_and_compounds(text)) for text in texts)


def _without_words(documents: Sequence[AcceptedDocument], queries: Sequence[JudgedQuery]) -> list[AcceptedDocument]:
    """Take the words of queries out of the texts of the documents that answer them."""
    words_to_remove: dict[str, set[str]] = {}
    for query in queries:
        for document_id in query.grades:
            words_to_remove.setdefault(document_id, set()).update(_stems(query.text))
    changed = []
    for document in documents:
        words = words_to_remove.get(document.id)
        if words:
            members = {
                name: _remaining(value, words) if isinstance(value, str) and name != "id" else value
                for name, value in document.members.items()
            }
            parsed = parse_document(document.line, msgspec.json.encode(members))
            changed.append(parsed if isinstance(parsed, AcceptedDocument) else document)
        else:
            changed.append(document)
    return changed


def _remaining(text: str, words: set[str]) -> str:
    """Return a text without some words. words: their stems"""
    rest, end = list[str](), 0
    for span in spans(text):
        if not words.isdisjoint(map(DEFAULT.stem, span.words)):
            rest.append(text[end : span.start])
            end = span.end
    return " ".join("".join([*rest, text[end:]]).split())


def _frontier(
    whole: _Searched,
    without: _Searched,
    nearest: FloatArray,
    paraphrases: Sequence[str],
    judged: Sequence[JudgedQuery],
) -> list[dict[str, float]]:
    """Return, for other cuts, what they let in and what they keep of what is found by meaning alone.

    nearest: (n,) of texts without meaning, the cosine of their nearest document. The cuts keep shares of them out.
    """
    rows = []
    for quantile in QUANTILES:
        cut = round(float(np.quantile(nearest, quantile)), 3)
        at_cut, without_at_cut = whole.with_cut(cut), without.with_cut(cut)
        rows.append(
            {
                "random_kept_out": quantile,
                "cut": cut,
                "foreign_let_in": round(
                    float(np.mean([_without_its_words(at_cut, q, "vector") > 0 for q in FOREIGN])), 3
                ),
                "paraphrases_kept": round(at_cut.share_with_hits(paraphrases, "vector"), 3),
                "judged_kept": round(without_at_cut.share_with_hits([query.text for query in judged], "vector"), 3),
            }
        )
    return rows


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['collection']}: {result['n_documents']} documents, cut {result['cut']}")
    print("  random kept out    cut   foreign let in   paraphrases kept   judged kept")
    for row in result["frontier"]:
        print(
            f"  {row['random_kept_out']:15.0%} {row['cut']:6.3f} {row['foreign_let_in']:16.0%} "
            f"{row['paraphrases_kept']:18.0%} {row['judged_kept']:13.0%}"
        )
    report.print_checks(result["checks"])
