"""`bench tuning` and `gate`: learning from clicks."""

from __future__ import annotations

from pathlib import Path

import msgspec
import rich_click as click

from benchmarks import gate as gate_benchmark
from benchmarks import live as live_benchmark
from benchmarks import tuning as tuning_benchmark
from benchmarks.cli import options


class TuningOptions(msgspec.Struct, frozen=True):
    """The options of `bench tuning`, as they are chosen."""

    file: Path
    json_file: Path | None
    learner: str
    clicks: str
    attack: str
    impressions: int
    seeds: int
    part: str
    production: Path | None
    optimal: bool
    pipeline: bool
    live: bool
    svg: Path | None


@click.command()
@options.feature_file
@options.json_file
@click.option("--learner", default="default,pdgd,off", show_default=True, help="Learners, separated by commas.")
@options.clicks
@click.option(
    "--attack",
    default="",
    help="Bots or drift, separated by commas: inverse:SHARE, random:SHARE, spam:SHARE, drift:N.",
)
@click.option("--impressions", default=20_000, show_default=True, help="Impressions of each run.")
@click.option("--seeds", default=20, show_default=True, help="Runs of each kind: seeds 0 to N-1.")
@click.option(
    "--part",
    type=click.Choice(("validation", "test")),
    default="test",
    show_default=True,
    help="Queries of the offline measure.",
)
@click.option(
    "--production",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file with the weights to start from, by feature name.",
)
@click.option("--optimal", is_flag=True, help="Start from the best weights by the labels: nothing is left to gain.")
@click.option(
    "--pipeline", is_flag=True, help="Show learnt weights only after they pass gate and guard, as the service does."
)
@click.option("--live", is_flag=True, help="Drive a real service instead; FILE is then a judged collection.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="With --live: file to draw a chart to.")
@options.collected(TuningOptions)
def tuning(chosen: TuningOptions) -> None:
    """Measure learners on simulated clicks, with the judged queries of FILE (.npz, or a folder of svmlight files)."""
    models = options.click_models(chosen.clicks)
    if chosen.live:
        result = live_benchmark.measure(
            chosen.file, clicks=models[0], impressions=chosen.impressions, seed=0, svg=chosen.svg, say=options.say
        )
        options.show(result, live_benchmark.print_result, chosen.json_file)
        return
    if chosen.optimal and chosen.production is not None:
        raise click.UsageError("--optimal and --production exclude each other: both say where to start")
    plan = tuning_benchmark.Plan(
        learners=tuple(chosen.learner.split(",")),
        clicks=models,
        attacks=tuple(chosen.attack.split(",")),
        impressions=chosen.impressions,
        n_seeds=chosen.seeds,
        part=chosen.part,
        production=chosen.production,
        optimal=chosen.optimal,
        pipeline=chosen.pipeline,
    )
    result = tuning_benchmark.measure(chosen.file, plan, options.say)
    options.show(result, tuning_benchmark.print_result, chosen.json_file)


@click.command()
@options.feature_file
@options.json_file
@options.clicks
@click.option("--seeds", default=100, show_default=True, help="Runs of each kind: seeds 0 to N-1.")
def gate(file: Path, json_file: Path | None, clicks: str, seeds: int) -> None:
    """Measure how soon gate and guard tell better and worse weights from those in force, on the queries of FILE."""
    result = gate_benchmark.measure(file, clicks=options.click_models(clicks), n_seeds=seeds, say=options.say)
    options.show(result, gate_benchmark.print_result, json_file)


COMMANDS = (tuning, gate)
