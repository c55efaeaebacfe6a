"""`audit`: list every change, revert one, and export all of them to a file that can be checked for completeness."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import rich_click as click

from events.errors import Corrupt, LaterVersion
from searchsvc.changes.audit import AuditEntry
from searchsvc.changes.audit_export import ExportSummary, check_lines, export_lines
from searchsvc.cli.client import ServiceClient
from searchsvc.cli.options import actor, json_option, reason_option, url_option
from searchsvc.cli.output import format_time, print_answer, print_json, print_table, say
from searchsvc.http.shapes.changes import AuditList, ChangedAnswer
from searchsvc.runtime.files import open_private

PAGE: Final = 500


class ExportReport(msgspec.Struct, frozen=True):
    """The result of writing or checking a file of changes.

    n_changes: changes in the file.
    chain: hash over their events.
    line_chain: hash over its lines.
    """

    file: str
    n_changes: int
    chain: str
    line_chain: str


@click.group()
def audit() -> None:
    """See who changed what, when, from where and why; revert any change."""


@audit.command("list")
@click.option("--index", default="", help="Only changes of this index.")
@click.option("--after", default=0, help="Only changes after this sequence.")
@click.option("--limit", default=100, show_default=True, help="Number of changes, at most.")
@url_option
@json_option
def list_(index: str, after: int, limit: int, url: str, as_json: bool) -> None:
    """List changes, oldest first."""
    with ServiceClient(url) as client:
        params = {"index": index, "after": str(after), "limit": str(limit)}
        answer = client.call("GET", "/v1/audit", AuditList, params=params)
    if as_json:
        print_json(answer)
        return
    rows = [
        (
            str(entry.seq),
            format_time(entry.timestamp),
            entry.index,
            entry.actor,
            entry.source,
            entry.reason,
            entry.describe(),
        )
        for entry in answer.entries
    ]
    print_table(("seq", "when (UTC)", "index", "who", "from", "why", "what"), rows, f"up to {answer.last_seq}")
    if answer.next_after is not None:
        say(f"there are more: go on with --after {answer.next_after}")


@audit.command()
@click.argument("seq", type=int)
@url_option
@json_option
def show(seq: int, url: str, as_json: bool) -> None:
    """Show change SEQ, with every value before and after. Always prints JSON."""
    with ServiceClient(url) as client:
        print_json(client.call("GET", f"/v1/changes/{seq}", AuditEntry))


@audit.command()
@click.argument("seq", type=int)
@reason_option
@click.option("--force", is_flag=True, help="Also revert what was changed again since.")
@url_option
@json_option
def revert(seq: int, reason: str, force: bool, url: str, as_json: bool) -> None:
    """Revert all edits of change SEQ. It need not be the last one."""
    with ServiceClient(url, actor=actor()) as client:
        body = {"reason": reason, "force": force}
        answer = client.call("POST", f"/v1/changes/{seq}/revert", ChangedAnswer, json=body)
    message = f"change {seq} is reverted (sequence {answer.seq}): {answer.changed.describe()}"
    print_answer(answer, message, as_json)


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@url_option
@json_option
def export(file: Path, url: str, as_json: bool) -> None:
    """Write every change to FILE, one line of JSON each. `audit verify FILE` checks that it is complete."""
    summary = ExportSummary()
    with ServiceClient(url) as client, open_private(file) as output:
        for line, summary in export_lines(_all_entries(client)):  # noqa: B007 - the last one counts
            output.write(line)
    report = _report(file, summary)
    message = f"{report.n_changes} changes written to {file}; the chain of lines ends in {report.line_chain}"
    print_answer(report, message, as_json)


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@json_option
def verify(file: Path, as_json: bool) -> None:
    """Check that FILE, written by `audit export`, has every change up to its last one, unaltered."""
    report = check_export(file)
    message = (
        f"{report.n_changes} changes, none missing and none altered; the chain ends in {report.chain}, "
        f"that of lines in {report.line_chain}"
    )
    print_answer(report, message, as_json)


def check_export(file: Path) -> ExportReport:
    """Check a file of changes against itself. Raises click.ClickException naming the first bad line."""
    try:
        with file.open("rb") as lines:
            return _report(file, check_lines(lines))
    except (Corrupt, LaterVersion) as error:
        raise click.ClickException(f"{file} {error}") from error


def _report(file: Path, summary: ExportSummary) -> ExportReport:
    return ExportReport(str(file), summary.n_changes, summary.chain, summary.line_chain)


def _all_entries(client: ServiceClient) -> Iterator[AuditEntry]:
    for page in client.pages("/v1/audit", AuditList, params={"limit": str(PAGE)}):
        yield from page.entries
