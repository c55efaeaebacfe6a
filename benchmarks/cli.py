"""`searchsvc bench`: found through the entry-point group, so that nothing below imports benchmarks."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click

from benchmarks import cluster as cluster_benchmark
from benchmarks import engines as engines_benchmark
from benchmarks import events as events_benchmark
from benchmarks import gate as gate_benchmark
from benchmarks import latency as latency_benchmark
from benchmarks import live as live_benchmark
from benchmarks import propagation as propagation_benchmark
from benchmarks import recovery as recovery_benchmark
from benchmarks import relevance as relevance_benchmark
from benchmarks import report, shoppers
from benchmarks import rules as rules_benchmark
from benchmarks import scale as scale_benchmark
from benchmarks import tuning as tuning_benchmark

collection = click.argument("collection", type=click.Path(exists=True, file_okay=False, path_type=Path))
json_file = click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result there.")

documents_option = click.option(
    "--documents", default=3000, show_default=True, help="Documents of the made-up catalogue."
)


@click.group()
def bench() -> None:
    """Measure: each command prints its figures, and whether those asked for were reached."""


@bench.command()
@collection
@json_file
@click.option("--queries", default=1000, show_default=True, help="Distinct queries, each cold and cached.")
@click.option("--load", default=4000, show_default=True, help="Searches over 16 connections.")
@click.option("--changes", default=200, show_default=True, help="Weight changes.")
@click.option("--restarts", default=3, show_default=True, help="Restarts of each kind.")
@click.option("--reference", default=512, show_default=True, help="Texts for SentenceTransformer.encode; 0: none.")
def latency(
    collection: Path, json_file: Path | None, queries: int, load: int, changes: int, restarts: int, reference: int
) -> None:
    """Search, weight change, import and restart times of a service of its own on COLLECTION."""
    result = latency_benchmark.measure(
        collection,
        n_queries=queries + latency_benchmark.WARM_UP,
        n_load=load,
        n_changes=changes,
        n_restarts=restarts,
        n_reference=reference,
        say=_say,
    )
    latency_benchmark.print_result(result)
    report.write(json_file, result)


@bench.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@json_file
@click.option("--learner", default="default,pdgd,off", show_default=True, help="Which, with commas between.")
@click.option(
    "--clicks",
    default="informational,pbm",
    show_default=True,
    help=f"How shoppers click, with commas between: {', '.join(shoppers.MODELS)}; or all.",
)
@click.option(
    "--attack",
    default="",
    help="Who else clicks, or what changes: inverse:SHARE, random:SHARE, spam:SHARE, drift:N; with commas between.",
)
@click.option("--impressions", default=20_000, show_default=True, help="Of each run.")
@click.option("--seeds", default=20, show_default=True, help="Runs of each kind: seeds 0 to N-1.")
@click.option("--part", type=click.Choice(("validation", "test")), default="test", show_default=True, help="Offline.")
@click.option(
    "--production", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Weights by name, as JSON."
)
@click.option("--optimal", is_flag=True, help="Production is the best there is by the labels: there is nothing to win.")
@click.option("--pipeline", is_flag=True, help="Only what passes gate and guard is shown alone, as in the service.")
@click.option("--live", is_flag=True, help="Drive a real service instead; FILE is a judged collection then.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="With --live: draw it there.")
def tuning(
    file: Path,
    json_file: Path | None,
    learner: str,
    clicks: str,
    attack: str,
    impressions: int,
    seeds: int,
    part: str,
    production: Path | None,
    optimal: bool,
    pipeline: bool,
    live: bool,
    svg: Path | None,
) -> None:
    """What learners make of clicks, on the judged queries of FILE (.npz, or a folder of svmlight files)."""
    if live:
        told = live_benchmark.measure(
            file, clicks=clicks.split(",")[0], impressions=impressions, seed=0, svg=svg, say=_say
        )
        live_benchmark.print_result(told)
        report.write(json_file, told)
        return
    if optimal and production is not None:
        raise click.UsageError("--optimal and --production are two answers to one question: give one")
    result = tuning_benchmark.measure(
        file,
        learners=learner.split(","),
        clicks=shoppers.MODELS if clicks == "all" else clicks.split(","),
        attacks=attack.split(","),
        impressions=impressions,
        n_seeds=seeds,
        part=part,
        production=production,
        optimal=optimal,
        pipeline=pipeline,
        say=_say,
    )
    tuning_benchmark.print_result(result)
    report.write(json_file, result)


@bench.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@json_file
@click.option(
    "--clicks",
    default="informational,pbm",
    show_default=True,
    help=f"How shoppers click, with commas between: {', '.join(shoppers.MODELS)}; or all.",
)
@click.option("--seeds", default=100, show_default=True, help="Runs of each kind: seeds 0 to N-1.")
def gate(file: Path, json_file: Path | None, clicks: str, seeds: int) -> None:
    """How soon gate and guard tell better weights, and worse ones, from those in force, on the queries of FILE."""
    models = shoppers.MODELS if clicks == "all" else tuple(clicks.split(","))
    result = gate_benchmark.measure(file, clicks=models, n_seeds=seeds, say=_say)
    gate_benchmark.print_result(result)
    report.write(json_file, result)


@bench.command()
@collection
@json_file
@click.option("--queries", type=int, help="A seeded sample of so many queries.  [default: all]")
@click.option("--reference", is_flag=True, help="Also encode everything with sentence-transformers in fp32.")
@click.option("--save-run", type=click.Path(path_type=Path), help="Write what each query gave, a line each.")
@click.option("--against", type=click.Path(path_type=Path), help="A saved run: show wins and losses, query by query.")
def relevance(
    collection: Path,
    json_file: Path | None,
    queries: int | None,
    reference: bool,
    save_run: Path | None,
    against: Path | None,
) -> None:
    """How good the default ranking is on the judged COLLECTION, with typos and with fitted weights."""
    result = relevance_benchmark.measure(
        collection, n_queries=queries, reference=reference, save_run=save_run, against=against, say=_say
    )
    relevance_benchmark.print_result(result)
    report.write(json_file, result)


@bench.command()
@click.argument("collection", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_file
@documents_option
@click.option("--events", "n_events", default=200_000, show_default=True, help="Events sent as fast as they are taken.")
@click.option("--seconds", default=10.0, show_default=True, help="How long each rate is offered.")
@click.option("--rounds", default=2, show_default=True, help="How often the rates take turns.")
def events(
    collection: Path | None, json_file: Path | None, n_events: int, documents: int, seconds: float, rounds: int
) -> None:
    """Events a second that are on disk, and what searches feel of them. Without COLLECTION: the made-up catalogue."""
    result = events_benchmark.measure(
        collection, n_events=n_events, n_documents=documents, seconds=seconds, rounds=rounds, say=_say
    )
    events_benchmark.print_result(result)
    report.write(json_file, result)


@bench.command()
@click.argument("collection", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_file
@documents_option
@click.option("--events", "n_events", default=1_000_000, show_default=True, help="Events in BEHAVIOR.")
def recovery(collection: Path | None, json_file: Path | None, n_events: int, documents: int) -> None:
    """Start times over a long log: from nothing, from a snapshot, after kill -9; and an index built anew."""
    result = recovery_benchmark.measure(collection, n_events=n_events, n_documents=documents, say=_say)
    recovery_benchmark.print_result(result)
    report.write(json_file, result)


@bench.command()
@json_file
@click.option("--rules", "n_rules", default=10_000, show_default=True, help="Rules of the index.")
@click.option("--searches", default=5_000, show_default=True, help="Made-up searches.")
def rules(json_file: Path | None, n_rules: int, searches: int) -> None:
    """Which of many rules fire for a search, and what comes of them."""
    result = rules_benchmark.measure(n_rules=n_rules, n_searches=searches, say=_say)
    rules_benchmark.print_result(result)
    report.write(json_file, result)


@bench.command()
@json_file
@click.option("--services", default=3, show_default=True, help="Services on one NATS server.")
@click.option("--changes", default=200, show_default=True, help="Changes of weights, and as many documents.")
@click.option("--documents", default=1000, show_default=True, help="Documents in the index.")
def propagation(json_file: Path | None, services: int, changes: int, documents: int) -> None:
    """From a change on one service to the first answer of each of several that was ranked with it."""
    result = propagation_benchmark.measure(n_services=services, n_changes=changes, n_documents=documents, say=_say)
    propagation_benchmark.print_result(result)
    report.write(json_file, result)


@bench.command()
@collection
@json_file
@click.option(
    "--size",
    "sizes",
    type=int,
    multiple=True,
    default=(10_000, 100_000, 1_000_000),
    show_default=True,
    help="Documents; once for each size.",
)
@click.option("--queries", default=1000, show_default=True, help="Distinct queries, each of four kinds.")
@click.option("--searches", default=10_000, show_default=True, help="Searches before memory is measured.")
@click.option("--upserts", default=200, show_default=True, help="Documents written while searching.")
@click.option(
    "--vectors",
    type=click.Path(file_okay=False, path_type=Path),
    help="Take vectors from this folder and keep new ones there: a million take an hour.",
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
    """Searches, writes, starts and memory by size, on a catalogue generated from the titles of COLLECTION."""
    result = scale_benchmark.measure(
        collection,
        sizes=sizes,
        n_queries=queries,
        n_searches=searches,
        n_upserts=upserts,
        vectors=vectors,
        say=_say,
    )
    scale_benchmark.print_result(result)
    report.write(json_file, result)


@bench.command()
@collection
@json_file
@click.option(
    "--opensearch",
    "url",
    envvar="SEARCHSVC_OPENSEARCH_URL",
    show_envvar=True,
    required=True,
    help="Address of a node that may be written to; all that is made there is removed.",
)
@click.option("--queries", default=4000, show_default=True, help="A seeded sample of the judged queries.")
@click.option("--timed", default=1200, show_default=True, help="Of them, searched in turn with the bare requests.")
@click.option("--exhaustive", default=100, show_default=True, help="Of them, asked of an engine that looks at all.")
def engines(collection: Path, json_file: Path | None, url: str, queries: int, timed: int, exhaustive: int) -> None:
    """Both engines on the judged COLLECTION: rankings, the service's share of a search, the node's own hybrid."""
    result = engines_benchmark.measure(
        collection, url=url, n_queries=queries, n_timed=timed, n_exhaustive=exhaustive, say=_say
    )
    engines_benchmark.print_result(result)
    report.write(json_file, result)


@bench.command()
@collection
@json_file
@click.option(
    "--opensearch", "url", envvar="SEARCHSVC_OPENSEARCH_URL", show_envvar=True, required=True, help="Address."
)
@click.option(
    "--node-pid-file",
    envvar="SEARCHSVC_NODE_PID_FILE",
    show_envvar=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Of the node's process, which is killed.",
)
@click.option(
    "--node-start", envvar="SEARCHSVC_NODE_START", show_envvar=True, required=True, help="Command that starts it again."
)
@click.option("--searches", default=20.0, show_default=True, help="Searches a second.")
@click.option("--changes", default=10.0, show_default=True, help="Changes of documents a second.")
@click.option("--seconds", default=40.0, show_default=True, help="Of the load alone, for comparison.")
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
    """What searches notice of a full reindex, and of an OpenSearch node that is killed, on the judged COLLECTION."""
    node = cluster_benchmark.NodeControl(url, node_pid_file, node_start)
    result = cluster_benchmark.measure(collection, node, searches=searches, changes=changes, seconds=seconds, say=_say)
    cluster_benchmark.print_result(result)
    report.write(json_file, result)


def _say(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(text, err=True)
