"""`import`: documents from a file into an index."""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from events.settings import IndexSettings
from searchsvc.cli.client import ServiceClient, json_option, url_option
from searchsvc.http.shapes.documents import DocumentsAccepted
from searchsvc.http.shapes.indexes import IndexInfo
from searchsvc.indexing.documents import RefusedDocument

CHUNK_LINES = 500
CHUNK_BYTES = 4 * 1024 * 1024
POLL_S = 0.1
SHOWN_REFUSALS = 10
# Nothing became searchable for so long: something is wrong, and waiting on would hide it.
STALLED_S = 120.0
# Or for so long, where the index says that it does not go on: a cluster may be away for a moment.
FAILED_S = 15.0


class ImportReport(msgspec.Struct):
    """What became of a file. refused: line numbers count from 1 in the file. not_searchable: documents of the index
    that are stored and that a cluster did not take, and why."""

    index: str
    accepted: int = 0
    refused: list[RefusedDocument] = []
    not_searchable: dict[str, str] = {}
    created: IndexSettings | None = None
    seconds: float = 0.0

    @property
    def n_refused(self) -> int:
        return len(self.refused)


@click.command("import")
@click.argument("index")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@url_option
@json_option
def import_(index: str, file: Path, url: str, as_json: bool) -> None:
    """Load FILE (NDJSON, also .gz; - for standard input) into INDEX, creating it where needed.

    Returns when every accepted document is searchable. Lines that are refused are listed with the reason and do not
    stop the others; the exit status is then 3.
    """
    standard_input = str(file) == "-"
    if not standard_input and not file.is_file():
        raise click.BadParameter(f"{file} is no file", param_hint="FILE")
    report = import_documents(url, index, sys.stdin.buffer if standard_input else file)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=1).decode())
    else:
        _print(report)
    if report.refused or report.not_searchable:
        sys.exit(3)


def import_documents(url: str, index: str, source: Path | Iterable[bytes]) -> ImportReport:
    """Send the lines of a file, or of anything else, in chunks, and wait until all are searchable."""
    if isinstance(source, Path):
        with _opened(source) as lines:
            return import_documents(url, index, lines)
    report = ImportReport(index)
    started = time.monotonic()
    catalog_seq = 0
    with ServiceClient(url) as client, _progress() as advance:
        for first_line, lines in _chunks(source):
            path = f"/v1/indexes/{index}/documents"
            answer = client.call("POST", path, DocumentsAccepted, content=b"".join(lines))
            report.accepted += answer.accepted
            report.refused += [msgspec.structs.replace(r, line=r.line + first_line - 1) for r in answer.refused]
            report.created = report.created or answer.created
            catalog_seq = max(catalog_seq, answer.catalog_seq)
            advance(report.accepted, None)
        _wait(client, index, catalog_seq, report, advance)
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _wait(
    client: ServiceClient,
    index: str,
    catalog_seq: int,
    report: ImportReport,
    advance: Callable[[int, int | None], None],
) -> None:
    seen, since = -1, time.monotonic()
    while catalog_seq:
        info = client.call("GET", f"/v1/indexes/{index}", IndexInfo)
        advance(report.accepted, min(info.n_documents, report.accepted))
        if info.applied_catalog_seq >= catalog_seq:
            report.not_searchable = info.refused
            return
        if info.applied_catalog_seq != seen:
            seen, since = info.applied_catalog_seq, time.monotonic()
        if time.monotonic() - since > (FAILED_S if info.error else STALLED_S):
            raise click.ClickException(
                f"{report.accepted} documents are stored, but not all are searchable: {info.error or 'nothing moves'}"
            )
        time.sleep(POLL_S)


@contextmanager
def _opened(file: Path) -> Iterator[Iterable[bytes]]:
    """The lines of a file, unpacked where it begins as gzip does."""
    with file.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not compressed:
            yield raw
            return
        with gzip.GzipFile(fileobj=raw) as unpacked:
            yield unpacked


def _chunks(source: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """(line number of the first, lines) a request each."""
    lines: list[bytes] = []
    size, first = 0, 1
    try:
        for number, line in enumerate(source, start=1):
            if lines and (len(lines) == CHUNK_LINES or size + len(line) > CHUNK_BYTES):
                yield first, lines
                lines, size, first = [], 0, number
            lines.append(line)
            size += len(line)
    except (OSError, EOFError) as error:
        raise click.ClickException(f"the file cannot be read past line {first + len(lines) - 1}: {error}") from error
    if lines:
        yield first, lines


@contextmanager
def _progress() -> Iterator[Callable[[int, int | None], None]]:
    """A bar on standard error where that is a terminal, else nothing."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        sent, searchable = bar.add_task("stored", total=None), bar.add_task("searchable", total=None)

        def advance(n_sent: int, n_searchable: int | None) -> None:
            bar.update(sent, completed=n_sent)
            if n_searchable is not None:
                bar.update(sent, total=n_sent)
                bar.update(searchable, completed=n_searchable, total=n_sent)

        yield advance


def _print(report: ImportReport) -> None:
    if report.created is not None:
        click.echo(f"created index {report.index} with settings inferred from the data:")
        click.echo(msgspec.json.format(msgspec.json.encode(report.created), indent=1).decode())
    rate = report.accepted / report.seconds if report.seconds else 0.0
    click.echo(
        f"{report.accepted} documents searchable in {report.seconds:.1f} s ({rate:.0f}/s), {report.n_refused} refused"
    )
    for refused in report.refused[:SHOWN_REFUSALS]:
        name = f" (id {refused.id})" if refused.id else ""
        click.echo(f"  line {refused.line}{name}: {refused.reason}", err=True)
    if report.n_refused > SHOWN_REFUSALS:
        click.echo(f"  … and {report.n_refused - SHOWN_REFUSALS} more; --json lists all", err=True)
    for name, reason in report.not_searchable.items():
        click.echo(f"  {name} is stored, but not searchable: OpenSearch refused it: {reason}", err=True)
