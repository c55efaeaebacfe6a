"""Runs of `bench relevance` kept in a file, a line a query, and how a run compares with an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks import report
from benchmarks.collection import JudgedQuery
from events.errors import InvalidInput
from tuning.arrays import ScoreArray

N_HITS: Final = 10
N_SHOWN: Final = 10


class SavedQuery(msgspec.Struct, frozen=True):
    """One query of a run.

    ndcg: nDCG@10
    hits: ids of the first ten
    """

    id: str
    text: str
    ndcg: float
    hits: list[str]


def load(file: Path | None) -> dict[str, SavedQuery]:
    """Read a saved run by query id; no file is an empty run. Raises InvalidInput if the file is not a run."""
    if file is None:
        return {}
    try:
        queries = msgspec.json.Decoder(SavedQuery).decode_lines(file.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidInput(f"{file} is not a saved run: {error}", field="against", value=str(file)) from error
    return {query.id: query for query in queries}


def save(file: Path, queries: Sequence[JudgedQuery], ranked: Sequence[list[str]], values: ScoreArray) -> None:
    """Write a run. ranked, values: ids and nDCG@10 of each query."""
    rows = [
        SavedQuery(query.id, query.text, round(float(value), 5), ids[:N_HITS])
        for query, ids, value in zip(queries, ranked, values, strict=True)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.Encoder().encode_lines(rows))


def compare(
    before: Mapping[str, SavedQuery], queries: Sequence[JudgedQuery], ranked: Sequence[list[str]], values: ScoreArray
) -> dict[str, Any] | None:
    """Compare a run with an earlier one on the queries that both have: how many won and lost, and which most.

    Returns None if the earlier run is empty.
    """
    if not before:
        return None
    rows = sorted(_changes(before, queries, ranked, values), key=lambda row: row["change"])
    if not rows:
        return {"n_queries": 0}
    # In the order of the queries, which the bootstrap depends on.
    changes = np.array([row["change"] for row in _changes(before, queries, ranked, values)])
    return {
        "n_queries": len(rows),
        "won": int((changes > 0).sum()),
        "lost": int((changes < 0).sum()),
        "same": int((changes == 0).sum()),
        "change": report.mean_interval(changes),
        "biggest_losses": [row for row in rows[:N_SHOWN] if row["change"] < 0],
        "biggest_wins": [row for row in rows[::-1][:N_SHOWN] if row["change"] > 0],
    }


def _changes(
    before: Mapping[str, SavedQuery], queries: Sequence[JudgedQuery], ranked: Sequence[list[str]], values: ScoreArray
) -> Iterator[dict[str, Any]]:
    for query, ids, value in zip(queries, ranked, values, strict=True):
        earlier = before.get(query.id)
        if earlier is not None:
            yield {
                "query": query.text,
                "was": earlier.ndcg,
                "change": round(float(value) - earlier.ndcg, 4),
                "first": ids[:1],
                "first_was": earlier.hits[:1],
            }


def print_comparison(comparison: dict[str, Any]) -> None:
    change = comparison["change"]
    print(f"against the saved run, {comparison['n_queries']} queries: ", end="")
    print(f"{comparison['won']} won, {comparison['lost']} lost, {comparison['same']} the same; ", end="")
    print(f"{change.value:+.4f} [{change.low:+.4f}, {change.high:+.4f}]")
    for name in ("biggest_losses", "biggest_wins"):
        for row in comparison[name]:
            print(f"  {row['change']:+.3f}  {row['query'][:60]:60} {row['first_was']} -> {row['first']}")
