"""`judge`: grades for what an index finds, kept as the benchmarks read them (docs/how-to/measure-relevance.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import rich_click as click

from searchsvc.cli.client import ServiceClient, json_option, url_option
from searchsvc.search.answer import SearchAnswer

HEADER: Final = "query_id\tdoc_id\tgrade\n"
GRADES: Final = ("0", "1", "2", "3")
MAX_VALUE_CHARS: Final = 160
SHOWN_MEMBERS: Final = 6


class JudgeReport(msgspec.Struct):
    """What a sitting brought. remaining: pairs of query and document that were found and have no grade yet."""

    queries: int = 0
    graded: int = 0
    remaining: int = 0


class _Query(msgspec.Struct):
    id: str
    text: str


class _Found(msgspec.Struct, frozen=True):
    query: _Query
    document_id: str
    document: dict[str, object]


@click.command()
@click.argument("index")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--query", "texts", multiple=True, help="A query to add; may be given again and again.")
@click.option(
    "--queries", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Queries to add, a line each."
)
@click.option(
    "--depth", type=click.IntRange(1, 100), default=10, show_default=True, help="Hits of each query to grade."
)
@url_option
@json_option
def judge(
    index: str, folder: Path, texts: Sequence[str], queries: Path | None, depth: int, url: str, as_json: bool
) -> None:
    """Grade what INDEX finds, into FOLDER.

    0 is not relevant, 1 somewhat, 2 good, 3 exactly what was meant; s goes on to the next query, q ends. Each grade is
    written at once, and the next sitting goes on where this one ended. Hits come in no particular order, so that their
    rank sways nobody. With a docs.jsonl beside them, `searchsvc bench relevance FOLDER` measures by these grades.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = [*texts, *(queries.read_text().splitlines() if queries else ())]
    asked = _queries(folder / "queries.jsonl", [text.strip() for text in given if text.strip()])
    if not asked:
        raise click.UsageError(f"{folder} has no queries yet: give some with --query or --queries")
    report = JudgeReport(queries=len(asked))
    known = _graded(folder / "qrels.tsv")
    with ServiceClient(url) as client:
        pending = [one for query in asked for one in _found(client, index, query, depth) if _key(one) not in known]
    report.remaining = len(pending)
    with (folder / "qrels.tsv").open("a") as file:
        if not file.tell():
            file.write(HEADER)
        skipped: set[str] = set()
        for one in pending:
            if one.query.id in skipped:
                continue
            said = _ask(one, report.remaining)
            if said == "q":
                break
            if said == "s":
                skipped.add(one.query.id)
                continue
            file.write(f"{one.query.id}\t{one.document_id}\t{said}\n")
            file.flush()
            report.graded += 1
            report.remaining -= 1
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        click.echo(
            f"{report.graded} graded, {report.remaining} left, of {report.queries} queries; in {folder / 'qrels.tsv'}"
        )


def _queries(file: Path, added: Sequence[str]) -> list[_Query]:
    """Those of a file and those that are added to it."""
    try:
        known = [msgspec.json.decode(line, type=_Query) for line in _lines(file)]
    except msgspec.DecodeError as error:
        raise click.ClickException(f'{file} has a line that is not {{"id": ..., "text": ...}}: {error}') from error
    said = {query.text for query in known}
    taken = {query.id for query in known}
    free = (f"q{n}" for n in range(1, len(known) + len(added) + 1) if f"q{n}" not in taken)
    new = [_Query(next(free), text) for text in dict.fromkeys(added) if text not in said]
    if new:
        with file.open("ab") as opened:
            opened.writelines(msgspec.json.encode(query) + b"\n" for query in new)
    return [*known, *new]


def _graded(file: Path) -> set[tuple[str, str]]:
    rows = [line.decode().rstrip("\n").split("\t") for line in _lines(file)]
    for number, row in enumerate(rows, start=1):
        if len(row) != 3:
            raise click.ClickException(f"{file} line {number} is not query_id, doc_id, grade, with tabs in between")
    return {(row[0], row[1]) for row in rows}


def _lines(file: Path) -> Iterator[bytes]:
    if file.exists():
        with file.open("rb") as opened:
            yield from (line for line in opened if line.strip())


def _found(client: ServiceClient, index: str, query: _Query, depth: int) -> list[_Found]:
    """The query's hits, in an order that is always the same and says nothing."""
    answer = client.call(
        "POST", f"/v1/indexes/{index}/search", SearchAnswer, json={"query": query.text, "limit": depth}
    )
    found = [_Found(query, hit.id, msgspec.json.decode(hit.document)) for hit in answer.hits]
    return sorted(found, key=lambda one: hashlib.blake2b("\t".join(_key(one)).encode()).digest())


def _key(one: _Found) -> tuple[str, str]:
    return one.query.id, one.document_id


def _ask(one: _Found, left: int) -> str:
    click.echo(f"\n{one.query.text}   ({left} left)", err=True)
    members = [(name, value) for name, value in one.document.items() if name != "id" and value not in (None, "", [])]
    for name, value in members[:SHOWN_MEMBERS]:
        click.echo(f"  {name}: {str(value)[:MAX_VALUE_CHARS]}", err=True)
    try:
        said: str = click.prompt("  grade", type=click.Choice([*GRADES, "s", "q"]), err=True)
    except click.Abort:
        return "q"
    return said
