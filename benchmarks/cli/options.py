"""Options that several `bench` commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import rich_click as click

from benchmarks import report, shoppers

Folder = click.Path(exists=True, file_okay=False, path_type=Path)
collection = click.argument("collection", type=Folder)
collections = click.argument("collections", required=True, nargs=-1, type=Folder)
optional_collection = click.argument("collection", required=False, type=Folder)
feature_file = click.argument("file", type=click.Path(exists=True, path_type=Path))
json_file = click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result to this file.")
documents = click.option(
    "--documents", default=3000, show_default=True, help="Documents of the sample catalogue, without COLLECTION."
)
clicks = click.option(
    "--clicks",
    default="informational,pbm",
    show_default=True,
    help=f"Click models, separated by commas: {', '.join(shoppers.MODELS)}; or all.",
)
opensearch = click.option(
    "--opensearch",
    "url",
    envvar="SEARCHSVC_OPENSEARCH_URL",
    show_envvar=True,
    required=True,
    help="Address of an OpenSearch node to write to; the indexes created there are removed again.",
)


S = TypeVar("S", bound=msgspec.Struct)


def collected(struct: type[S]) -> Callable[[Callable[[S], None]], Callable[..., None]]:
    """Pass a command's many options to its function as one struct that has a field for each."""

    def decorate(function: Callable[[S], None]) -> Callable[..., None]:
        @wraps(function)
        def callback(**values: object) -> None:
            function(struct(**values))

        return callback

    return decorate


def click_models(text: str) -> tuple[str, ...]:
    """Parse the value of --clicks."""
    return shoppers.MODELS if text == "all" else tuple(text.split(","))


def say(text: str) -> None:
    """Print progress to standard error, if that is a terminal."""
    if sys.stderr.isatty():
        click.echo(text, err=True)


def show(result: dict[str, Any], print_result: Callable[[dict[str, Any]], None], json_file: Path | None) -> None:
    """Print a result, and write it as JSON if --json was given."""
    print_result(result)
    report.write(json_file, result)
