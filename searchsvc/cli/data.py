"""`import`: load documents from a file into an index."""

from __future__ import annotations

import gzip
import sys
import time
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Final, Protocol

import msgspec
import rich_click as click

from events.settings import IndexSettings
from events.sizes import MIB
from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import json_option, url_option
from searchsvc.cli.output import print_json, progress_bar, say
from searchsvc.http.shapes.indexes import IndexInfo
from searchsvc.indexing.coverage import DocumentWarning
from searchsvc.indexing.documents import RefusedDocument, items_of_array
from searchsvc.runtime.printable import printable
from searchsvc.service.documents import DocumentsWritten

CHUNK_LINES: Final = 500
CHUNK_BYTES: Final = 4 * MIB
POLL_S: Final = 0.1
MAX_SHOWN_REFUSALS: Final = 10
# Without progress for this long, health is asked whether the index stands still.
STALLED_S: Final = 20.0
# Parts of the service that an index needs.
NEEDED: Final = ("control", "indexers")
# How long an index may report an error: a cluster may be away for a moment.
FAILED_S: Final = 15.0
# How long a request is repeated while the service answers that it cannot take it now.
PATIENCE_S: Final = 120.0
GZIP_MAGIC: Final = b"\x1f\x8b"


class Progress(Protocol):
    """Shows how far an import is."""

    def __call__(self, n_stored: int, n_searchable: int | None) -> None:
        """Show the number of documents stored, and of those that are searchable, if that is known."""

    def wait(self, reason: str) -> None:
        """Show what is waited for."""


class ImportReport(msgspec.Struct):
    """The result of an import.

    accepted: documents that were stored.
    refused: lines that were not; their numbers count from 1 in the file.
    readings: members of which all texts are read as numbers, dates, or true and false.
    warnings: what is odd about stored documents.
    not_searchable: ids of stored documents that a cluster refused, with the reasons.
    created: settings of the index, if the import created it.
    """

    index: str
    accepted: int = 0
    refused: list[RefusedDocument] = []
    readings: list[DocumentWarning] = []
    warnings: list[DocumentWarning] = []
    not_searchable: dict[str, str] = {}
    created: IndexSettings | None = None
    seconds: float = 0.0

    @property
    def n_refused(self) -> int:
        """Number of refused lines."""
        return len(self.refused)


@click.command("import")
@click.argument("index")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@url_option
@json_option
def import_(index: str, file: Path, url: str, as_json: bool) -> None:
    """Load FILE into INDEX, creating the index if needed.

    FILE is NDJSON, one document per line, or a JSON array of documents, also as .gz; - reads standard input. Returns
    when every accepted document is searchable. Lines that are refused are listed with the reason and do not stop the
    others; the exit status is then 3.
    """
    is_standard_input = str(file) == "-"
    if not is_standard_input and not file.is_file():
        raise click.BadParameter(f"{file} is not a file", param_hint="FILE")
    report = import_documents(url, index, sys.stdin.buffer if is_standard_input else file)
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    if report.refused or report.not_searchable:
        sys.exit(3)


def import_documents(url: str, index: str, source: Path | Iterable[bytes]) -> ImportReport:
    """Send lines to a service in chunks, and wait until all accepted documents are searchable.

    source: a file, or lines.
    Raises click.ClickException if the service refuses a chunk, or if documents do not become searchable.
    """
    if isinstance(source, Path):
        with _open(source) as lines:
            return import_documents(url, index, lines)
    report = ImportReport(index)
    started_s = time.monotonic()
    catalog_seq = 0
    with ServiceClient(url) as client, _show_progress() as progress:
        for first_line, lines in split_chunks(source):
            path = f"/v1/indexes/{index}/documents"
            try:
                answer = client.call(
                    "POST",
                    path,
                    DocumentsWritten,
                    content=b"".join(lines),
                    patience_s=PATIENCE_S,
                    on_wait=progress.wait,
                )
            except click.ClickException as error:
                stored = f"; {report.accepted} documents before them are stored" if report.accepted else ""
                where = f"lines {first_line} to {first_line + len(lines) - 1}"
                raise click.ClickException(f"{where}: {error.message}{stored}") from error
            report.accepted += answer.accepted
            report.refused += [
                msgspec.structs.replace(refused, line=refused.line + first_line - 1) for refused in answer.refused
            ]
            report.created = report.created or answer.created
            report.readings = _each_member_once([*report.readings, *answer.readings])
            report.warnings = _each_member_once([*report.warnings, *answer.warnings])
            catalog_seq = max(catalog_seq, answer.catalog_seq)
            progress(report.accepted, None)
        _wait_until_searchable(client, catalog_seq, report, progress)
    report.seconds = round(time.monotonic() - started_s, 3)
    return report


def split_chunks(source: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the number of the first line, from 1, and the lines of each request.

    Raises click.ClickException if the source cannot be read to its end.
    """
    lines: list[bytes] = []
    size, first_line = 0, 1
    try:
        for number, line in enumerate(_lines(source), start=1):
            if lines and (len(lines) == CHUNK_LINES or size + len(line) > CHUNK_BYTES):
                yield first_line, lines
                lines, size, first_line = [], 0, number
            lines.append(line)
            size += len(line)
    except (OSError, EOFError) as error:
        last_line = first_line + len(lines) - 1
        raise click.ClickException(f"the file cannot be read past line {last_line}: {error}") from error
    if lines:
        yield first_line, lines


def _lines(source: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of NDJSON, or the items of a JSON array as lines, for which all of it is read."""
    lines = iter(source)
    for first in lines:
        start = first.removeprefix(BOM_UTF8).strip()
        if start.startswith(b"["):
            whole = b"".join([first, *lines])
            items = items_of_array(whole)
            yield from BytesIO(whole) if items is None else [item + b"\n" for item in items]
        else:
            yield first
            if start:
                yield from lines


def _wait_until_searchable(client: ServiceClient, catalog_seq: int, report: ImportReport, progress: Progress) -> None:
    """Wait until an index has applied CATALOG up to a sequence; 0 waits for nothing.

    Raises click.ClickException if the index reports an error, or health that it stands still.
    """
    last_applied, moved_s = -1, time.monotonic()
    path = f"/v1/indexes/{report.index}"
    while catalog_seq:
        info = client.call("GET", path, IndexInfo, patience_s=PATIENCE_S, on_wait=progress.wait)
        progress(report.accepted, min(info.n_documents, report.accepted))
        if info.applied_catalog_seq >= catalog_seq:
            report.not_searchable = info.refused
            return
        if info.applied_catalog_seq != last_applied:
            last_applied, moved_s = info.applied_catalog_seq, time.monotonic()
        still_s = time.monotonic() - moved_s
        reason = info.error if still_s > FAILED_S else ""
        if not reason and still_s > STALLED_S:
            reason = _stall(client, report.index)
            moved_s = time.monotonic()
        if reason:
            raise click.ClickException(f"{report.accepted} documents are stored, but not all are searchable: {reason}")
        time.sleep(POLL_S)


def _stall(client: ServiceClient, index: str) -> str:
    """Return why an index will not go on by itself, as health says; '' if it does."""
    health = client.health()
    if health.status == "corrupt":
        return "; ".join(health.reasons)
    parts = (part for part in (f"index {index}", *NEEDED) if part in health.stalled)
    return next((f"{part} stands still: {health.stalled[part]}" for part in parts), "")


@contextmanager
def _open(file: Path) -> Iterator[Iterable[bytes]]:
    """Open a file, decompressing gzip."""
    with file.open("rb") as raw:
        is_gzip = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        if not is_gzip:
            yield raw
            return
        with gzip.GzipFile(fileobj=raw) as unpacked:
            yield unpacked


@contextmanager
def _show_progress() -> Iterator[Progress]:
    with progress_bar(transient=True) as bar:
        stored, searchable = bar.add_task("stored", total=None), bar.add_task("searchable", total=None)

        class Bars:
            def __call__(self, n_stored: int, n_searchable: int | None) -> None:
                bar.update(stored, completed=n_stored, description="stored")
                if n_searchable is not None:
                    bar.update(stored, total=n_stored)
                    bar.update(searchable, completed=n_searchable, total=n_stored)

            def wait(self, reason: str) -> None:
                bar.update(stored, description=f"stored; waiting: {printable(reason)}")

        yield Bars()


def _each_member_once(warnings: Sequence[DocumentWarning]) -> list[DocumentWarning]:
    return list({warning.field: warning for warning in reversed(warnings)}.values())[::-1]


def _print_report(report: ImportReport) -> None:
    if report.created is not None:
        say(f"created index {report.index} with settings inferred from the data:")
        print_json(report.created)
    rate = report.accepted / report.seconds if report.seconds else 0.0
    say(f"{report.accepted} documents searchable in {report.seconds:.1f} s ({rate:.0f}/s), {report.n_refused} refused")
    for reading in report.readings[:MAX_SHOWN_REFUSALS]:
        say(f"  {reading.message}")
    for warning in report.warnings[:MAX_SHOWN_REFUSALS]:
        say(f"  warning: {warning.message}", err=True)
    for refused in report.refused[:MAX_SHOWN_REFUSALS]:
        document = f" (id {refused.id})" if refused.id else ""
        say(f"  line {refused.line}{document}: {refused.reason}", err=True)
    if report.n_refused > MAX_SHOWN_REFUSALS:
        say(f"  … and {report.n_refused - MAX_SHOWN_REFUSALS} more; --json lists all", err=True)
    for document_id, reason in report.not_searchable.items():
        say(f"  {document_id} is stored, but not searchable: OpenSearch refused it: {reason}", err=True)
