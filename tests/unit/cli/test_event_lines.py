"""How `events tail` prints events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from events.codec import encode
from events.log import Record
from events.types import BehaviorBatch, BehaviorEvent, EventRefused
from searchsvc.behavior.keyring import KEYRING_NAME, Keyring, seal_ranking
from searchsvc.cli.event_lines import NO_KEY, EventPrinter, describe_event
from tests.factories import NOW, click, ranking


def behavior(events: Sequence[BehaviorEvent], seq: int = 1) -> Record:
    return Record("BEHAVIOR", "behavior", seq, NOW, encode(BehaviorBatch(events=list(events))))


def test_an_interaction_names_the_query_and_rank_it_belongs_to(capsys: pytest.CaptureFixture[str]) -> None:
    printer = EventPrinter(False, None)
    printer.remember(behavior([ranking("q1")]))
    printer.print(behavior([click("e1", "q1", "b"), click("e2", "unseen"), click("e3", None)], 2))
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("03:04:05.000 BEHAVIOR click")
    assert "document=b rank 2 of 'red shoe'" in first
    assert "its ranking is not known here" in second
    assert "no query" in third


def test_each_event_is_one_line_of_json_with_its_ranking(capsys: pytest.CaptureFixture[str]) -> None:
    printer = EventPrinter(True, None)
    printer.print(behavior([ranking("q1"), click("e1", "q1", "c")], 7))
    shown, clicked = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (shown["stream"], shown["seq"], shown["event"]["id"]) == ("BEHAVIOR", 7, "q1")
    assert (clicked["ranking"]["query"], clicked["ranking"]["rank"]) == ("red shoe", 3)


def test_a_sealed_query_is_opened_while_its_user_has_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keyring = Keyring(tmp_path / KEYRING_NAME)
    anna = keyring.user("anna", NOW)
    keyring.flush()
    sealed = behavior([seal_ranking(ranking("q1"), anna)])
    EventPrinter(False, keyring).print(sealed)
    keyring.erase("anna", NOW)
    EventPrinter(False, keyring).print(sealed)
    keyring.close()
    before, after = capsys.readouterr().out.splitlines()
    assert "'red shoe'" in before
    assert repr(NO_KEY) in after


def test_a_long_ranking_and_a_long_payload_are_shortened() -> None:
    long = describe_event(msgspec.structs.replace(ranking(), document_ids=tuple("abcdefg"), degraded=("vector",)))
    assert "hits: a b c d e … degraded: vector" in long
    refused = EventRefused(
        id="1", timestamp=NOW, source="nats", subject="ingest.shop", reason="no event", field="", payload="x" * 500
    )
    assert describe_event(refused).endswith("no event | " + "x" * 200)
