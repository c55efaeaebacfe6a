"""The audit trail as a file that proves itself: one line of JSON for each change. Pure.

In each line, `chain` covers the bytes of `event` of all changes up to it, as in the log. Beside these bytes a line
says who, when, why and what: a check works that out again from the events, but for the time, which is the log's own.
`line_chain` covers it, as it covers every byte of all lines up to this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from events.archive import ArchivedRecord
from events.chain import GENESIS, link
from events.codec import decode_control
from events.control import ControlState, fold_message
from events.errors import Corrupt
from events.history import HistoryStep
from searchsvc.changes.audit import AuditEntry, describe_step

_LINE_CHAIN: Final = b',"line_chain":"'


class ExportSummary(msgspec.Struct, frozen=True):
    """What an export holds.

    chain: hash of CONTROL after the last change
    line_chain: hash over all lines
    """

    n_changes: int = 0
    chain: str = GENESIS
    line_chain: str = GENESIS


class _Line(AuditEntry, frozen=True, kw_only=True):
    line_chain: str


def export_lines(entries: Iterable[AuditEntry]) -> Iterator[tuple[bytes, ExportSummary]]:
    """Yield each line, with its line break, and what the export holds up to it. entries: all from the first"""
    summary = ExportSummary()
    for entry in entries:
        body = msgspec.json.encode(entry).removesuffix(b"}")
        summary = ExportSummary(summary.n_changes + 1, entry.chain, link(summary.line_chain, body))
        yield body + _LINE_CHAIN + summary.line_chain.encode() + b'"}\n', summary


def check_lines(lines: Iterable[bytes]) -> ExportSummary:
    """Check that lines are all that `export_lines` yielded, up to the last of them, unaltered.

    Raises Corrupt, naming the first line that is not.
    """
    summary, state = ExportSummary(), ControlState()
    for number, line in enumerate(lines, start=1):
        try:
            entry = msgspec.json.decode(line, type=_Line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Corrupt(f"line {number} is not a change: {error}") from error
        if entry.seq != number:
            raise Corrupt(f"line {number} has change {entry.seq}; expected {number}")
        data = bytes(entry.event)
        if entry.chain != link(summary.chain, data):
            raise Corrupt(f"line {number}: change {number}, or one before it, was altered")
        state = _require_entry_matches_event(entry, state, f"line {number}")
        body = line.rpartition(_LINE_CHAIN)[0]
        line_chain = link(summary.line_chain, body)
        # Nothing may follow the chain, either.
        if line != body + _LINE_CHAIN + line_chain.encode() + b'"}\n':
            raise Corrupt(f"line {number}: timestamp or line_chain, or a line before it, was altered")
        summary = ExportSummary(number, entry.chain, line_chain)
    return summary


def _require_entry_matches_event(entry: AuditEntry, before: ControlState, line: str) -> ControlState:
    """Return the state after a change. Raises Corrupt if a member of its entry says something else than its event."""
    data = bytes(entry.event)
    record = ArchivedRecord("CONTROL", entry.seq, entry.timestamp, "", "", entry.chain, entry.event)
    try:
        after = fold_message(before, data, entry.seq)
        expected = describe_step(HistoryStep(record, decode_control(data), before, after))
    except Corrupt as error:
        raise Corrupt(f"{line}: {error}") from error
    for name in AuditEntry.__struct_fields__:
        if msgspec.json.encode(getattr(entry, name)) != msgspec.json.encode(getattr(expected, name)):
            raise Corrupt(f"{line}: {name} was altered: it is not what the event says")
    return after
