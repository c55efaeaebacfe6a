"""An export of changes proves itself complete and unaltered, what can be read of it included."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import rich_click as click

from events.edits import SetRule, SetWeights
from events.rules import HideAction, Rule
from events.types import ChangePublished, ChangeRefused, ControlEvent
from searchsvc.changes.audit import Audit, AuditEntry
from searchsvc.changes.audit_export import export_lines
from searchsvc.changes.differences import Difference
from searchsvc.cli.audit import check_export
from tests.factories import CONFIGURED, NOW, history_of

EVENTS: Sequence[ControlEvent] = [
    CONFIGURED,
    ChangePublished(
        id="2", timestamp=NOW, index="shop", actor="ada", reason="sale", edits=(SetRule("r", Rule((HideAction("a"),))),)
    ),
    ChangeRefused(
        id="3", timestamp=NOW, index="shop", actor="eve", kind="change_published", policy="approvals", detail="one more"
    ),
    ChangePublished(id="4", timestamp=NOW, index="shop", edits=(SetWeights({"cosine": 2.0}),), undoes=2),
]
# What each member of an entry can be altered to.
ALTERED = {
    "seq": 4,
    "timestamp": NOW + timedelta(days=1),
    "kind": "index_deleted",
    "index": "zoo",
    "actor": "mallory",
    "actor_verified": True,
    "source": "learner",
    "reason": "another reason",
    "undoes": 7,
    "restores": 7,
    "changed": Difference(weights={"cosine": (1.0, 9.0)}),
    "event": msgspec.Raw(b'{"type":"x.v1"}'),
    "chain": "1" * 64,
    "refused": "",
}


@pytest.fixture
def entries(tmp_path: Path) -> list[AuditEntry]:
    return Audit(history_of(tmp_path, EVENTS)).page("", 0, 10).entries


def export(folder: Path, entries: list[AuditEntry]) -> list[bytes]:
    """Write an export, and return its lines."""
    return write(folder, [line for line, _ in export_lines(entries)])


def write(folder: Path, lines: list[bytes]) -> list[bytes]:
    (folder / "export.ndjson").write_bytes(b"".join(lines))
    return lines


def check(folder: Path) -> tuple[int, str, str]:
    report = check_export(folder / "export.ndjson")
    return report.n_changes, report.chain, report.line_chain


def test_a_complete_export_is_accepted(tmp_path: Path, entries: list[AuditEntry]) -> None:
    export(tmp_path, entries)
    (_, summary) = list(export_lines(entries))[-1]
    assert check(tmp_path) == (4, entries[-1].chain, summary.line_chain)
    write(tmp_path, [])
    assert check(tmp_path) == (0, "0" * 64, "0" * 64)


def test_a_missing_change_is_named(tmp_path: Path, entries: list[AuditEntry]) -> None:
    lines = export(tmp_path, entries)
    write(tmp_path, [lines[0], lines[2]])
    with pytest.raises(click.ClickException, match="line 2 has change 3; expected 2"):
        check(tmp_path)


@pytest.mark.parametrize("line", range(len(EVENTS)))
@pytest.mark.parametrize("name", AuditEntry.__struct_fields__)
def test_an_altered_member_is_named_with_its_line_though_the_lines_were_chained_anew(
    tmp_path: Path, entries: list[AuditEntry], name: str, line: int
) -> None:
    altered = ALTERED[name]
    if altered == getattr(entries[line], name):
        altered = "something"  # refused by a policy, or not
    entries[line] = msgspec.structs.replace(entries[line], **{name: altered})
    if name == "seq" and line == 3:
        entries[line] = msgspec.structs.replace(entries[line], seq=5)
    export(tmp_path, entries)
    if name == "timestamp":
        # No event tells it: only the chain of lines does, which must be kept elsewhere.
        assert check(tmp_path)[0] == len(EVENTS)
        return
    expected = {
        "seq": f"line {line + 1} has change",
        "event": f"line {line + 1}: change {line + 1}, or one before it, was altered",
        "chain": f"line {line + 1}: change {line + 1}, or one before it, was altered",
    }
    with pytest.raises(click.ClickException, match=expected.get(name, f"line {line + 1}: {name} was altered")):
        check(tmp_path)


@pytest.mark.parametrize("line", range(len(EVENTS)))
@pytest.mark.parametrize("before", [b'"timestamp":"2026', b'"line_chain":"', b'{"seq"'])
def test_an_altered_byte_is_named_with_its_line(
    tmp_path: Path, entries: list[AuditEntry], before: bytes, line: int
) -> None:
    lines = export(tmp_path, entries)
    after = {b'"timestamp":"2026': b'"timestamp":"2025', b'"line_chain":"': b'"line_chain":"0'}
    lines[line] = lines[line].replace(before, after.get(before, b'{"added":1,"seq"'), 1)
    write(tmp_path, lines)
    expected = f"line {line + 1}: timestamp or line_chain, or a line before it, was altered"
    with pytest.raises(click.ClickException, match=expected):
        check(tmp_path)


def test_a_line_that_is_no_change_is_named(tmp_path: Path, entries: list[AuditEntry]) -> None:
    write(tmp_path, [*export(tmp_path, entries), b"{}\n"])
    with pytest.raises(click.ClickException, match="line 5 is not a change"):
        check(tmp_path)


@pytest.mark.parametrize("after", [b' "}\n', b'"} \n', b'"}\r\n', b'"}', b'","by":"mallory"}\n'])
def test_bytes_after_the_chain_of_a_line_are_refused(tmp_path: Path, entries: list[AuditEntry], after: bytes) -> None:
    lines = export(tmp_path, entries)
    lines[-1] = lines[-1].removesuffix(b'"}\n') + after
    write(tmp_path, lines)
    with pytest.raises(click.ClickException, match="line 4"):
        check(tmp_path)
