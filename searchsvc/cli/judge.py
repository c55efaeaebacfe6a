"""`judge`: ask for grades of an index's hits, and keep them in the files that benchmarks read.

The format is in docs/how-to/measure-relevance.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import rich_click as click

from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import json_option, url_option
from searchsvc.cli.output import print_answer, say
from searchsvc.search.answer import SearchAnswer

QUERIES_NAME: Final = "queries.jsonl"
GRADES_NAME: Final = "qrels.tsv"
HEADER: Final = "query_id\tdoc_id\tgrade\n"
GRADES: Final = ("0", "1", "2", "3")
SKIP_QUERY: Final = "s"
QUIT: Final = "q"
MAX_VALUE_CHARS: Final = 160
MAX_SHOWN_MEMBERS: Final = 6


class JudgeReport(msgspec.Struct):
    """The result of one session.

    queries: queries in the folder.
    graded: grades given in this session.
    remaining: pairs of a query and a hit that have no grade yet.
    """

    queries: int = 0
    graded: int = 0
    remaining: int = 0


class _Query(msgspec.Struct, frozen=True):
    id: str
    text: str


class _Pair(msgspec.Struct, frozen=True):
    """A query and one of its hits."""

    query: _Query
    document_id: str
    document: dict[str, object]

    @property
    def key(self) -> tuple[str, str]:
        return self.query.id, self.document_id


@click.command()
@click.argument("index")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--query", "texts", multiple=True, help="Query to add; may be repeated.")
@click.option(
    "--queries",
    "queries_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of queries to add, one per line.",
)
@click.option(
    "--depth", type=click.IntRange(1, 100), default=10, show_default=True, help="Number of hits to grade per query."
)
@url_option
@json_option
def judge(
    index: str, folder: Path, texts: Sequence[str], queries_file: Path | None, depth: int, url: str, as_json: bool
) -> None:
    """Grade the hits of INDEX, and keep the grades in FOLDER.

    0 is not relevant, 1 somewhat, 2 good, 3 exactly what was meant; s skips the rest of the query, q ends. Each grade
    is saved at once, and the next session continues where this one ended. Hits come in an order that does not depend on
    their rank, so that the rank does not bias the grade. With a docs.jsonl in the same folder, `searchsvc bench
    relevance FOLDER` measures by these grades.
    """
    folder.mkdir(parents=True, exist_ok=True)
    added = [*texts, *(queries_file.read_text().splitlines() if queries_file else ())]
    queries = add_queries(folder / QUERIES_NAME, [text.strip() for text in added if text.strip()])
    if not queries:
        raise click.UsageError(f"{folder} has no queries yet: add some with --query or --queries")
    graded = read_graded(folder / GRADES_NAME)
    with ServiceClient(url) as client:
        pairs = [pair for query in queries for pair in _pairs(client, index, query, depth) if pair.key not in graded]
    report = JudgeReport(queries=len(queries), remaining=len(pairs))
    _grade(pairs, folder / GRADES_NAME, report)
    message = f"{report.graded} graded, {report.remaining} left, of {report.queries} queries"
    print_answer(report, f"{message}; in {folder / GRADES_NAME}", as_json)


def add_queries(file: Path, texts: Sequence[str]) -> list[_Query]:
    """Add new queries to a file, and return all of its queries. Raises click.ClickException for a bad line."""
    try:
        queries = [msgspec.json.decode(line, type=_Query) for line in _lines(file)]
    except msgspec.DecodeError as error:
        raise click.ClickException(f'{file} has a line that is not {{"id": ..., "text": ...}}: {error}') from error
    present = {query.text for query in queries}
    used_ids = {query.id for query in queries}
    free_ids = (f"q{n}" for n in range(1, len(queries) + len(texts) + 1) if f"q{n}" not in used_ids)
    new_queries = [_Query(next(free_ids), text) for text in dict.fromkeys(texts) if text not in present]
    if new_queries:
        with file.open("ab") as output:
            output.writelines(msgspec.json.encode(query) + b"\n" for query in new_queries)
    return [*queries, *new_queries]


def read_graded(file: Path) -> set[tuple[str, str]]:
    """Return (query id, document id) of all grades in a file. Raises click.ClickException for a bad line."""
    rows = [line.decode().rstrip("\n").split("\t") for line in _lines(file)]
    for number, row in enumerate(rows, start=1):
        if len(row) != 3:
            raise click.ClickException(f"{file} line {number} is not query_id, doc_id, grade, separated by tabs")
    return {(row[0], row[1]) for row in rows}


def _grade(pairs: Sequence[_Pair], file: Path, report: JudgeReport) -> None:
    """Ask for the grade of each pair and append it to a file."""
    skipped_queries: set[str] = set()
    with file.open("a") as output:
        if not output.tell():
            output.write(HEADER)
        for pair in pairs:
            if pair.query.id in skipped_queries:
                continue
            reply = _ask(pair, report.remaining)
            if reply == QUIT:
                break
            if reply == SKIP_QUERY:
                skipped_queries.add(pair.query.id)
                continue
            output.write(f"{pair.query.id}\t{pair.document_id}\t{reply}\n")
            output.flush()
            report.graded += 1
            report.remaining -= 1


def _lines(file: Path) -> Iterator[bytes]:
    if file.exists():
        with file.open("rb") as content:
            yield from (line for line in content if line.strip())


def _pairs(client: ServiceClient, index: str, query: _Query, depth: int) -> list[_Pair]:
    """Return the query's hits in an order that is always the same and does not depend on their rank."""
    body = {"query": query.text, "limit": depth}
    answer = client.call("POST", f"/v1/indexes/{index}/search", SearchAnswer, json=body)
    pairs = [_Pair(query, hit.id, msgspec.json.decode(hit.document)) for hit in answer.hits]
    return sorted(pairs, key=lambda pair: hashlib.blake2b("\t".join(pair.key).encode()).digest())


def _ask(pair: _Pair, n_remaining: int) -> str:
    """Show a document and return the reply; `QUIT` at the end of the input."""
    say(err=True)
    say(f"{pair.query.text}   ({n_remaining} left)", err=True)
    members = [(name, value) for name, value in pair.document.items() if name != "id" and value not in (None, "", [])]
    for name, value in members[:MAX_SHOWN_MEMBERS]:
        say(f"  {name}: {str(value)[:MAX_VALUE_CHARS]}", err=True)
    try:
        reply: str = click.prompt("  grade", type=click.Choice([*GRADES, SKIP_QUERY, QUIT]), err=True)
    except click.Abort:
        return QUIT
    return reply
