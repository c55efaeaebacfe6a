"""Folders of documents, with queries and judgments where there are any.

docs/how-to/measure-relevance.md describes their layout.
"""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from events.errors import InvalidInput


class JudgedQuery(msgspec.Struct, frozen=True):
    """A query and its judgments.

    grades: document id -> grade; 0 is not relevant
    """

    id: str
    text: str
    grades: dict[str, int]


def documents_file(folder: Path) -> Path:
    """Return the file of a collection's documents. Raises InvalidInput if there is none."""
    for name in ("docs.jsonl", "docs.jsonl.gz"):
        if (folder / name).is_file():
            return folder / name
    raise InvalidInput(f"{folder} has neither docs.jsonl nor docs.jsonl.gz", field="collection", value=str(folder))


def lines(file: Path) -> Iterator[bytes]:
    """Read the lines of a file that are not blank, decompressed if its name ends in .gz.

    Raises InvalidInput if the file cannot be read.
    """
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as opened:
            yield from (line for line in opened if line.strip())
    except (OSError, EOFError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}", field="collection", value=str(file)) from error


def judged_queries(folder: Path) -> list[JudgedQuery]:
    """Read the queries that have at least one positive judgment.

    Raises InvalidInput if a file is missing or malformed, or no query is left.
    """
    queries_file, grades_file = folder / "queries.jsonl", folder / "qrels.tsv"
    if not grades_file.exists():
        grades_file = folder / "qrels.tsv.gz"
    for file in (queries_file, grades_file):
        if not file.exists():
            raise InvalidInput(f"{folder} has no {file.name}: a judged collection needs it", field="collection")
    grades = _read_grades(grades_file)
    try:
        rows = [msgspec.json.decode(line, type=dict[str, str]) for line in lines(queries_file)]
        queries = [JudgedQuery(row["id"], row["text"], grades[row["id"]]) for row in rows if row["id"] in grades]
    except (msgspec.DecodeError, KeyError) as error:
        message = f'{queries_file.name}: a line is not {{"id": ..., "text": ...}}: {error}'
        raise InvalidInput(message, field="collection") from error
    judged = [query for query in queries if any(grade > 0 for grade in query.grades.values())]
    if not judged:
        raise InvalidInput(f"{folder} has no query with a positive judgment", field="collection", limit="1 or more")
    return judged


def _read_grades(file: Path) -> dict[str, dict[str, int]]:
    """Read query id -> document id -> grade."""
    grades: defaultdict[str, dict[str, int]] = defaultdict(dict)
    text = (line.decode() for line in lines(file))
    for number, row in enumerate(csv.reader(text, delimiter="\t"), start=1):
        if number == 1 and row[0] == "query_id":
            continue
        try:
            query_id, document_id, grade = row
            grades[query_id][document_id] = int(grade)
        except ValueError as error:
            raise InvalidInput(f"{file.name} line {number}: {row} is not query_id, doc_id, grade") from error
    return dict(grades)
