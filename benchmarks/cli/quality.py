"""`bench relevance`, `pages`, `neighbours`, `engines`, `cluster`: how good the answers are, also without a node."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from benchmarks import cluster as cluster_benchmark
from benchmarks import engines as engines_benchmark
from benchmarks import neighbours as neighbours_benchmark
from benchmarks import pages as pages_benchmark
from benchmarks import relevance as relevance_benchmark
from benchmarks.cli import options


@click.command()
@options.collections
@options.json_file
@click.option("--queries", type=int, help="Size of a seeded sample of the queries.  [default: all]")
@click.option("--reference", is_flag=True, help="Also encode everything with sentence-transformers in fp32.")
@click.option(
    "--save-run",
    type=click.Path(path_type=Path),
    help="Write the result of each query here, one a line; of one collection.",
)
@click.option("--against", type=click.Path(path_type=Path), help="A saved run: show wins and losses, query by query.")
def relevance(
    collections: tuple[Path, ...],
    json_file: Path | None,
    queries: int | None,
    reference: bool,
    save_run: Path | None,
    against: Path | None,
) -> None:
    """Measure how good the default ranking is on judged COLLECTIONS, also with typos and with fitted weights."""
    result = relevance_benchmark.measure(
        collections, n_queries=queries, reference=reference, save_run=save_run, against=against, say=options.say
    )
    options.show(result, relevance_benchmark.print_result, json_file)


@click.command()
@options.collection
@options.json_file
@click.option("--paraphrases", type=click.Path(path_type=Path), help="File of queries in other words, one a line.")
def neighbours(collection: Path, json_file: Path | None, paraphrases: Path | None) -> None:
    """Measure what has no answer in the judged COLLECTION and gets one, and what loses its answer in other words."""
    result = neighbours_benchmark.measure(collection, paraphrases=paraphrases, say=options.say)
    options.show(result, neighbours_benchmark.print_result, json_file)


@click.command()
@options.collection
@options.json_file
@options.opensearch
@click.option("--queries", default=4000, show_default=True, help="Size of a seeded sample of the judged queries.")
@click.option("--timed", default=1200, show_default=True, help="Number of them to time against the bare requests.")
@click.option("--exhaustive", default=100, show_default=True, help="Number of them to send to the exhaustive engine.")
def engines(collection: Path, json_file: Path | None, url: str, queries: int, timed: int, exhaustive: int) -> None:
    """Compare both engines on the judged COLLECTION: rankings, overhead of the service, OpenSearch's own hybrid."""
    result = engines_benchmark.measure(
        collection, url=url, n_queries=queries, n_timed=timed, n_exhaustive=exhaustive, say=options.say
    )
    options.show(result, engines_benchmark.print_result, json_file)


@click.command()
@options.collection
@options.json_file
@options.opensearch
@click.option(
    "--node-pid-file",
    envvar="SEARCHSVC_NODE_PID_FILE",
    show_envvar=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the process id of the node, which is killed.",
)
@click.option(
    "--node-start",
    envvar="SEARCHSVC_NODE_START",
    show_envvar=True,
    required=True,
    help="Command that starts the node again.",
)
@click.option("--searches", default=20.0, show_default=True, help="Searches a second.")
@click.option("--changes", default=10.0, show_default=True, help="Document changes a second.")
@click.option("--seconds", default=40.0, show_default=True, help="Duration of the load alone, for comparison.")
def cluster(
    collection: Path,
    json_file: Path | None,
    url: str,
    node_pid_file: Path,
    node_start: str,
    searches: float,
    changes: float,
    seconds: float,
) -> None:
    """Measure searches during a full reindex, and while an OpenSearch node is killed, on the judged COLLECTION."""
    node = cluster_benchmark.NodeControl(url, node_pid_file, node_start)
    result = cluster_benchmark.measure(
        collection, node, searches=searches, changes=changes, seconds=seconds, say=options.say
    )
    options.show(result, cluster_benchmark.print_result, json_file)


@click.command()
@options.collection
@click.argument("pages_file", metavar="PAGES", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.json_file
def pages(collection: Path, pages_file: Path, json_file: Path | None) -> None:
    """Measure on how many first pages of COLLECTION what the list PAGES asks for is found."""
    result = pages_benchmark.measure(collection, pages_file, say=options.say)
    options.show(result, pages_benchmark.print_result, json_file)


COMMANDS = (relevance, pages, neighbours, engines, cluster)
