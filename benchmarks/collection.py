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
    """grades: document id -> grade, 0 is not relevant."""

    id: str
    text: str
    grades: dict[str, int]


def documents_file(folder: Path) -> Path:
    """Raises InvalidInput where a collection has no documents."""
    for name in ("docs.jsonl", "docs.jsonl.gz"):
        if (folder / name).is_file():
            return folder / name
    raise InvalidInput(f"{folder} has neither docs.jsonl nor docs.jsonl.gz", field="collection", value=str(folder))


def lines(file: Path) -> Iterator[bytes]:
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as opened:
        yield from (line for line in opened if line.strip())


def judged_queries(folder: Path) -> list[JudgedQuery]:
    """The queries that have at least one positive judgement. Raises InvalidInput where a file is missing or wrong."""
    queries, grades_file = folder / "queries.jsonl", folder / "qrels.tsv"
    if not grades_file.exists():
        grades_file = folder / "qrels.tsv.gz"
    for file in (queries, grades_file):
        if not file.exists():
            raise InvalidInput(f"{folder} has no {file.name}: a judged collection needs it", field="collection")
    grades: defaultdict[str, dict[str, int]] = defaultdict(dict)
    text = (line.decode() for line in lines(grades_file))
    for number, row in enumerate(csv.reader(text, delimiter="\t"), start=1):
        if number == 1 and row[0] == "query_id":
            continue
        try:
            query_id, document_id, grade = row
            grades[query_id][document_id] = int(grade)
        except ValueError as error:
            raise InvalidInput(f"{grades_file.name} line {number}: {row} is not query_id, doc_id, grade") from error
    said = [msgspec.json.decode(line, type=dict[str, str]) for line in lines(queries)]
    found = [JudgedQuery(one["id"], one["text"], grades[one["id"]]) for one in said if one["id"] in grades]
    return [query for query in found if any(grade > 0 for grade in query.grades.values())]
