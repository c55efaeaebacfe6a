"""Would a shopper call the first page right?

Question   On how many first pages do enough of the ten hits belong there, and none of the first three not at all? Told
           by what documents say, not by labels, so that every document of a collection is judged.
Data       a folder of documents, and a list of pages: one JSON object a line with the members `query`, `at_least`
           (hits of the first ten), `passes` and, if there is one, `fails`: regular expressions without case, of lines
           such as `title: Black lamp`. A document that passes and fails does not belong. Where the collection has
           fewer than `at_least`, all it has are asked for; a page of which it has none is left out
Command    searchsvc bench pages ../shared/data/electronics tests/relevance/electronics.jsonl
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks import report
from benchmarks.bare import CANDIDATES
from benchmarks.collection import lines
from benchmarks.indexed import build_index, embedded_texts, encode, inferred_settings, usable_documents
from benchmarks.inprocess import INDEX, NOW, serving
from benchmarks.model import packaged_model
from events.errors import InvalidInput
from searchsvc.embedding.embedder import Embedder
from searchsvc.indexing.documents import AcceptedDocument
from searchsvc.search.request import SearchRequest
from searchsvc.search.searcher import Searcher

N_HITS: Final = 10
N_FIRST: Final = 3
MIN_RIGHT: Final = 0.85
MAX_TITLE_CHARS: Final = 60


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a first page must show. See the module's `Data`."""

    query: str
    at_least: int
    passes: str
    fails: str | None = None


class _Judge:
    """Which documents belong to a page, and which must not be first. texts: by id, lines of members"""

    def __init__(self, page: Page, texts: Mapping[str, str]) -> None:
        fails = re.compile(page.fails, re.IGNORECASE | re.MULTILINE) if page.fails is not None else None
        passes = re.compile(page.passes, re.IGNORECASE | re.MULTILINE)
        self.failing = {name for name, text in texts.items() if fails is not None and fails.search(text)}
        self.right = {name for name, text in texts.items() if name not in self.failing and passes.search(text)}
        self.n_needed = min(page.at_least, len(self.right))

    def judge(self, ids: Sequence[str]) -> tuple[int, int]:
        """Return how many of the first hits belong, and how many of the very first must not be there."""
        n_right = sum(document_id in self.right for document_id in ids[:N_HITS])
        return n_right, sum(document_id in self.failing for document_id in ids[:N_FIRST])


def read_pages(file: Path) -> list[Page]:
    """Read a list of pages. Raises InvalidInput, naming the line, if one is malformed."""
    pages = []
    for number, line in enumerate(lines(file), start=1):
        try:
            page = msgspec.json.decode(line, type=Page)
            for pattern in (page.passes, page.fails or ""):
                re.compile(pattern)
        except (msgspec.DecodeError, re.error) as error:
            message = f"line {number} of {file} is no page: {error}"
            raise InvalidInput(message, field="pages", value=str(file)) from error
        pages.append(page)
    if not pages:
        raise InvalidInput(f"{file} has no page", field="pages", value=str(file), limit="1 or more")
    return pages


def measure(folder: Path, pages_file: Path, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Search for each query of a list; return the result as it is written to JSON.

    Raises InvalidInput if the collection or the list is not usable.
    """
    pages = read_pages(pages_file)
    documents = usable_documents(folder)
    settings = inferred_settings(documents)
    texts = {document.id: _lines_of(document) for document in documents}
    titles = {document.id: str(document.members.get(settings.title, ""))[:MAX_TITLE_CHARS] for document in documents}
    with tempfile.TemporaryDirectory(prefix="searchsvc-bench-") as scratch:
        embedder = Embedder(packaged_model(Path(scratch)), cache_size=0)
        vectors = encode(embedder, embedded_texts(documents, settings), say)
        state = serving(settings, build_index(Path(scratch) / "index", documents, settings, vectors), embedder)
        searcher = Searcher(embedder, n_candidates=CANDIDATES)
        say(f"searching for {len(pages)} queries")
        judged = list[dict[str, Any]]()
        for page in pages:
            judge = _Judge(page, texts)
            if not judge.n_needed:
                continue
            request = SearchRequest(query=page.query, limit=N_HITS)
            hits = searcher.search(state, INDEX, request, query_id="bench", now=NOW).answer.hits
            ids = [hit.id for hit in hits]
            n_right, n_failing = judge.judge(ids)
            judged.append(
                {
                    "query": page.query,
                    "is_right": n_right >= judge.n_needed and not n_failing,
                    "right": n_right,
                    "needed": judge.n_needed,
                    "failing_first": n_failing,
                    "titles": [titles[document_id] for document_id in ids],
                }
            )
    if not judged:
        raise InvalidInput(f"{folder} has no document that a page asks for", field="pages", value=str(pages_file))
    share = sum(page["is_right"] for page in judged) / len(judged)
    return {
        "benchmark": "pages",
        "question": "would a shopper call the first page right?",
        "collection": folder.resolve().name,
        **report.environment(),
        "n_documents": len(documents),
        "n_pages": len(judged),
        "share_right": round(share, 3),
        "pages": judged,
        "checks": [
            report.Check("first pages that are right", f">= {MIN_RIGHT:.0%}", f"{share:.1%}", share >= MIN_RIGHT)
        ],
    }


def _lines_of(document: AcceptedDocument) -> str:
    """Return a document as lines: each member and its value, those of a list side by side."""
    return "\n".join(f"{name}: {_text(value)}" for name, value in document.members.items())


def _text(value: object) -> str:
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value).replace("\n", " ")


def print_result(result: dict[str, Any]) -> None:
    print(f"{result['collection']}: {result['n_documents']} documents, {result['n_pages']} pages")
    for page in result["pages"]:
        if not page["is_right"]:
            wrong_first = f", {page['failing_first']} of the first {N_FIRST} wrong" if page["failing_first"] else ""
            print(f"  {page['query']}: {page['right']} of {page['needed']}{wrong_first}")
            for title in page["titles"][:N_FIRST]:
                print(f"      {title}")
    report.print_checks(result["checks"])
