"""Events of later versions: skipped if they are marked so, else a fold stops before them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from events import codec, control
from events.chain import GENESIS, link
from events.copy import ControlCopy
from events.errors import LaterVersion
from events.log import Record
from events.types import IndexConfigured, Skipped
from tests.factories import NOW, SETTINGS, click
from tuning.features import default_weights

BARRIER = b'{"type":"rules_changed.v7","id":"x"}'
SKIPPABLE = b'{"type":"note_left.v3","skippable":true,"text":"x"}'
CONFIGURED = codec.encode(
    IndexConfigured(id="1", timestamp=NOW, index="shop", settings=SETTINGS, default_weights=default_weights(SETTINGS))
)


def test_control_stops_before_a_later_version_and_goes_past_a_skippable_event() -> None:
    state = control.fold_message(control.ControlState(), CONFIGURED, 1)
    after = control.fold_message(state, SKIPPABLE, 2)
    assert (after.seq, after.indexes) == (2, state.indexes)
    assert after.chain != state.chain
    with pytest.raises(LaterVersion, match=r"rules_changed\.v7"):
        control.fold_message(after, BARRIER, 3)


def test_the_copy_keeps_a_later_version_and_its_state_ends_before_it(tmp_path: Path) -> None:
    copy, chain = ControlCopy(tmp_path / "control.ndjson"), GENESIS
    for seq, data in enumerate((CONFIGURED, BARRIER, CONFIGURED), start=1):
        chain = link(chain, data)
        copy.confirm(Record("CONTROL", "control.shop", seq, NOW, data), chain)
    copy.close()
    reopened = ControlCopy(tmp_path / "control.ndjson")
    assert (reopened.seq, reopened.state.seq, list(reopened.state.indexes)) == (3, 1, ["shop"])
    reopened.close()


def test_skippable_events_of_a_batch_are_left_out() -> None:
    readable = msgspec.json.encode(click("e1"))
    data = b'{"type":"behavior_batch.v1","events":[%b,%b]}' % (SKIPPABLE, readable)
    assert [event.id for event in codec.decode_behavior(data).events] == ["e1"]
    assert codec.decode_behavior(SKIPPABLE).events == []
    assert codec.decode_catalog(SKIPPABLE) == Skipped("note_left.v3")
    with pytest.raises(LaterVersion):
        codec.decode_behavior(data.replace(b'"skippable":true', b'"skippable":false'))
