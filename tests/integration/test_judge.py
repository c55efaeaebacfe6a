"""`judge`: grades typed at the prompt, in the files that benchmarks read."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.collection import judged_queries
from tests.command_line import Done, run
from tests.running import RunningService


def judge(service: RunningService, folder: Path, typed: str, *words: str) -> Done:
    return run("judge", "shop", str(folder), "--url", service.url, *words, stdin=typed)


def test_grades_are_saved_at_once_and_the_next_session_continues(service: RunningService, tmp_path: Path) -> None:
    folder = tmp_path / "judged"
    first = judge(
        service, folder, "3\n9\n0\nq\n", "--query", "desk lamp", "--query", "red shoe", "--depth", "3", "--json"
    )
    assert first.status == 0, first.stderr
    assert msgspec.json.decode(first.stdout) == {"queries": 2, "graded": 2, "remaining": 4}
    assert "desk lamp   (6 left)" in first.stderr
    rows = (folder / "qrels.tsv").read_text().splitlines()
    assert rows[0] == "query_id\tdoc_id\tgrade"
    assert [row.split("\t")[0] + row[-1] for row in rows[1:]] == ["q13", "q10"]
    second = judge(service, folder, "s\n1\n2\n3\n", "--depth", "3", "--query", "red shoe")
    assert "3 graded, 1 left, of 2 queries" in second.stdout, second.stderr
    assert [query.text for query in judged_queries(folder)] == ["desk lamp", "red shoe"]
    assert len((folder / "qrels.tsv").read_text().splitlines()) == 6
    third = judge(service, folder, "", "--depth", "3")
    assert "0 graded, 1 left" in third.stdout, "the end of the input ends the session"


def test_files_that_cannot_be_used_are_refused(service: RunningService, tmp_path: Path) -> None:
    def error() -> str:
        done = judge(service, tmp_path, "")
        assert done.status in (1, 2)
        return " ".join(done.stderr.replace("│", " ").split())

    assert "has no queries yet" in error()
    (tmp_path / "queries.jsonl").write_text('{"id": "q1"}\n')
    assert "has a line that is not" in error()
    (tmp_path / "queries.jsonl").write_text('{"id": "q1", "text": "lamp"}\n')
    (tmp_path / "qrels.tsv").write_text("q1 d1 2\n")
    assert "line 1 is not query_id, doc_id, grade" in error()
