"""`bench latency`, `scale` and `rules`: how long searches take."""

from __future__ import annotations

from pathlib import Path

import msgspec
import rich_click as click

from benchmarks import against as against_benchmark
from benchmarks import latency as latency_benchmark
from benchmarks import rules as rules_benchmark
from benchmarks import scale as scale_benchmark
from benchmarks.cli import options


class LatencyOptions(msgspec.Struct, frozen=True):
    """The options of `bench latency`, as they are given."""

    collection: Path
    json_file: Path | None
    queries: int
    load: int
    changes: int
    restarts: int
    reference: int
    against_checkout: Path | None
    runs: int


@click.command()
@options.collection
@options.json_file
@click.option("--queries", default=1000, show_default=True, help="Distinct queries, each uncached and cached.")
@click.option("--load", default=4000, show_default=True, help="Searches over 16 connections at once.")
@click.option("--changes", default=200, show_default=True, help="Weight changes.")
@click.option("--restarts", default=3, show_default=True, help="Restarts of each kind.")
@click.option("--reference", default=512, show_default=True, help="Texts for SentenceTransformer.encode; 0 for none.")
@click.option(
    "--against-checkout",
    type=options.Folder,
    help="Compare this checkout with the one in this folder instead: search times and answers.",
)
@click.option("--runs", default=5, show_default=True, help="With --against-checkout: runs, each on fresh services.")
@options.collected(LatencyOptions)
def latency(chosen: LatencyOptions) -> None:
    """Measure search, weight change, import and restart times of a service on COLLECTION.

    With --against-checkout, only --queries and --runs count: services of both checkouts are asked the same queries in
    alternation. Prints p50, p90 and p99 of both, their ratios, and whether the answers are the same.
    """
    if chosen.against_checkout is not None:
        result = against_benchmark.measure(
            chosen.collection, chosen.against_checkout, n_queries=chosen.queries, n_runs=chosen.runs, say=options.say
        )
        options.show(result, against_benchmark.print_result, chosen.json_file)
        return
    plan = latency_benchmark.Plan(
        n_queries=chosen.queries,
        n_load=chosen.load,
        n_changes=chosen.changes,
        n_restarts=chosen.restarts,
        n_reference=chosen.reference,
    )
    result = latency_benchmark.measure(chosen.collection, plan, options.say)
    options.show(result, latency_benchmark.print_result, chosen.json_file)


@click.command()
@options.json_file
@click.option("--rules", "n_rules", default=10_000, show_default=True, help="Rules of the index.")
@click.option("--searches", default=5_000, show_default=True, help="Random searches.")
def rules(json_file: Path | None, n_rules: int, searches: int) -> None:
    """Measure how long it takes to find which of many rules fire for a search, and to apply them."""
    result = rules_benchmark.measure(n_rules=n_rules, n_searches=searches, say=options.say)
    options.show(result, rules_benchmark.print_result, json_file)


@click.command()
@options.collection
@options.json_file
@click.option(
    "--size",
    "sizes",
    type=int,
    multiple=True,
    default=(10_000, 100_000, 1_000_000),
    show_default=True,
    help="Number of documents; repeat it for several sizes.",
)
@click.option("--queries", default=1000, show_default=True, help="Distinct queries, each searched in four ways.")
@click.option("--searches", default=10_000, show_default=True, help="Searches before memory is measured.")
@click.option("--upserts", default=200, show_default=True, help="Documents written while searching.")
@click.option(
    "--vectors",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to read vectors from and to keep new ones in: encoding a million documents takes an hour.",
)
def scale(
    collection: Path,
    json_file: Path | None,
    sizes: tuple[int, ...],
    queries: int,
    searches: int,
    upserts: int,
    vectors: Path | None,
) -> None:
    """Measure searches, writes, starts and memory by size, on a catalogue generated from the titles of COLLECTION."""
    plan = scale_benchmark.Plan(sizes=sizes, n_queries=queries, n_searches=searches, n_upserts=upserts, vectors=vectors)
    result = scale_benchmark.measure(collection, plan, options.say)
    options.show(result, scale_benchmark.print_result, json_file)


COMMANDS = (latency, rules, scale)
