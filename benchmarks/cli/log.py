"""`bench events`, `recovery`, `propagation`, `isolation`, `worst-requests` and `updates`: how long things take, and how
long others wait meanwhile."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from benchmarks import events as events_benchmark
from benchmarks import isolation as isolation_benchmark
from benchmarks import propagation as propagation_benchmark
from benchmarks import recovery as recovery_benchmark
from benchmarks import updates as updates_benchmark
from benchmarks import worst_requests as worst_requests_benchmark
from benchmarks.cli import options


@click.command()
@options.optional_collection
@options.json_file
@options.documents
@click.option("--events", "n_events", default=200_000, show_default=True, help="Events sent as fast as possible.")
@click.option("--seconds", default=10.0, show_default=True, help="How long each rate is offered.")
@click.option("--rounds", default=2, show_default=True, help="How often the rates take turns.")
def events(
    collection: Path | None, json_file: Path | None, n_events: int, documents: int, seconds: float, rounds: int
) -> None:
    """Measure events stored per second, and search times during that. Without COLLECTION: on the sample catalogue."""
    result = events_benchmark.measure(
        collection, n_events=n_events, n_documents=documents, seconds=seconds, rounds=rounds, say=options.say
    )
    options.show(result, events_benchmark.print_result, json_file)


@click.command()
@options.optional_collection
@options.json_file
@options.documents
@click.option("--events", "n_events", default=1_000_000, show_default=True, help="Events in BEHAVIOR.")
def recovery(collection: Path | None, json_file: Path | None, n_events: int, documents: int) -> None:
    """Measure starts over a long log: from nothing, from a snapshot, after kill -9, and with a rebuilt index."""
    result = recovery_benchmark.measure(collection, n_events=n_events, n_documents=documents, say=options.say)
    options.show(result, recovery_benchmark.print_result, json_file)


@click.command()
@options.json_file
@click.option("--services", default=3, show_default=True, help="Services on one NATS server.")
@click.option("--changes", default=200, show_default=True, help="Changes of weights, of rules and of documents, each.")
@click.option("--documents", default=1000, show_default=True, help="Documents in the index.")
def propagation(json_file: Path | None, services: int, changes: int, documents: int) -> None:
    """Measure the time from a change on one service to the first answer of every service that is ranked with it."""
    result = propagation_benchmark.measure(
        n_services=services, n_changes=changes, n_documents=documents, say=options.say
    )
    options.show(result, propagation_benchmark.print_result, json_file)


@click.command()
@options.json_file
@click.option("--documents", default=5000, show_default=True, help="Documents of the import.")
@click.option("--changes", default=100, show_default=True, help="Changes before the import.")
def isolation(json_file: Path | None, documents: int, changes: int) -> None:
    """Measure how long a change of one index, and a new index, wait while another takes documents."""
    result = isolation_benchmark.measure(n_documents=documents, n_quiet=changes, say=options.say)
    options.show(result, isolation_benchmark.print_result, json_file)


@click.command("worst-requests")
@options.collection
@options.json_file
@click.option("--seconds", default=5.0, show_default=True, help="How long each request is sent.")
def worst_requests(collection: Path, json_file: Path | None, seconds: float) -> None:
    """Measure how long searches take while another client sends the most expensive requests that are allowed."""
    result = worst_requests_benchmark.measure(collection, seconds=seconds, say=options.say)
    options.show(result, worst_requests_benchmark.print_result, json_file)


@click.command()
@options.collection
@options.json_file
@click.option("--rounds", default=3, show_default=True, help="How often each document is changed.")
def updates(collection: Path, json_file: Path | None, rounds: int) -> None:
    """Measure how many partial updates of COLLECTION's documents are stored, and searchable, in a second."""
    result = updates_benchmark.measure(collection, n_rounds=rounds, say=options.say)
    options.show(result, updates_benchmark.print_result, json_file)


COMMANDS = (events, recovery, propagation, isolation, worst_requests, updates)
