"""CONTROL put together from a damaged copy and a damaged stream: sequences stay, and what is lost is said."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from events.chain import GENESIS, link
from events.codec import decode_control, encode
from events.control import ControlState, fold_message
from events.copy import COPY_NAME, ControlCopy
from events.edits import SetWeights
from events.log import Record
from events.salvage import Salvaged, copied_messages, salvage_control
from events.settings import IndexSettings, SearchableField
from events.types import ChangePublished, IndexConfigured, MessageLost
from tuning.features import default_weights

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = IndexSettings(title="title", searchable=(SearchableField("title"),))
N = 5


def messages() -> list[Record]:
    """Return CONTROL of one index and four changes of its weights."""
    index = IndexConfigured(
        id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS)
    )
    changes = [
        ChangePublished(id=str(seq), timestamp=NOW, index="shop", edits=(SetWeights({"bm25.title": seq / 10}),))
        for seq in range(2, N + 1)
    ]
    encoded = [encode(index), *map(encode, changes)]
    return [Record("CONTROL", "control.shop", seq, NOW, data, str(seq)) for seq, data in enumerate(encoded, start=1)]


def copy_of(folder: Path, records: list[Record]) -> bytes:
    copy, chain = ControlCopy(folder / COPY_NAME), GENESIS
    for record in records:
        chain = link(chain, record.data)
        copy.confirm(record, chain)
    copy.close()
    return (folder / COPY_NAME).read_bytes()


def salvage(content: bytes, stored: list[Record]) -> list[Salvaged]:
    return list(salvage_control(copied_messages(content), {record.seq: record for record in stored}, NOW))


def test_two_whole_sources_give_what_both_hold(tmp_path: Path) -> None:
    records = messages()
    assert salvage(copy_of(tmp_path, records), records) == [Salvaged(record) for record in records]


@pytest.mark.parametrize("source", ["copy", "stream"])
def test_one_whole_source_is_enough(tmp_path: Path, source: str) -> None:
    records = messages()
    salvaged = salvage(copy_of(tmp_path, records) if source == "copy" else b"", records if source == "stream" else [])
    assert [piece.record.data for piece in salvaged] == [record.data for record in records]
    assert not any(piece.loss for piece in salvaged)


@pytest.mark.parametrize("place", range(0, 2000, 7))
def test_any_byte_of_the_copy_may_differ_while_the_stream_is_whole(tmp_path: Path, place: int) -> None:
    records = messages()
    content = bytearray(copy_of(tmp_path, records))
    content[place % len(content)] ^= 1
    salvaged = salvage(bytes(content), records)
    assert [piece.record.data for piece in salvaged] == [record.data for record in records]
    assert not any(piece.loss for piece in salvaged)


def test_a_damaged_line_feed_loses_no_later_message(tmp_path: Path) -> None:
    records = messages()
    content = bytearray(copy_of(tmp_path, records))
    content[content.index(b"\n")] ^= 1
    salvaged = salvage(bytes(content), [])
    assert [piece.record.seq for piece in salvaged if not piece.loss] == [3, 4, 5]
    assert [piece.record.data for piece in salvage(bytes(content), records)] == [record.data for record in records]


def test_what_the_stream_holds_after_the_copy_is_taken_from_it(tmp_path: Path) -> None:
    records = messages()
    salvaged = salvage(copy_of(tmp_path, records[:2]), records[1:])
    assert [piece.record.data for piece in salvaged] == [record.data for record in records]


def test_a_stream_that_was_changed_does_not_count_against_a_copy_that_is_proven(tmp_path: Path) -> None:
    records = messages()
    forged = [Record("CONTROL", "control.shop", 3, NOW, records[1].data, "x")]
    salvaged = salvage(copy_of(tmp_path, records), forged)
    assert [piece.record.data for piece in salvaged] == [record.data for record in records]


@pytest.mark.parametrize("is_in_copy", [True, False])
def test_bytes_that_are_no_event_are_replaced_and_the_others_keep_their_sequences(
    tmp_path: Path, is_in_copy: bool
) -> None:
    records = messages()
    records[2] = Record("CONTROL", "control.shop", 3, NOW, b'{"stream":"INGEST","seq":1}', "")
    content = copy_of(tmp_path, records) if is_in_copy else copy_of(tmp_path, records[:2])
    salvaged = salvage(content, records)
    assert [piece.record.seq for piece in salvaged] == [1, 2, 3, 4, 5]
    assert [bool(piece.loss) for piece in salvaged] == [False, False, True, False, False]
    assert salvaged[2].loss.startswith("CONTROL 3: CONTROL holds bytes that are no event")
    assert isinstance(decode_control(salvaged[2].record.data), MessageLost)
    state = ControlState()
    for piece in salvaged:
        state = fold_message(state, piece.record.data, piece.record.seq)
    assert state.seq == N
    assert state.indexes["shop"].weights["bm25.title"] == 0.5


def test_a_message_that_neither_has_is_replaced(tmp_path: Path) -> None:
    records = messages()
    content = copy_of(tmp_path, records).splitlines(keepends=True)
    salvaged = salvage(b"".join([content[0], b"#\n", *content[2:]]), [])
    assert [piece.loss for piece in salvaged if piece.loss] == ["CONTROL 2: neither the log nor its copy has it"]
    assert [piece.record.data for piece in salvaged if not piece.loss] == [r.data for r in records if r.seq != 2]
