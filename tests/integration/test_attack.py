"""A minute of random attacks: nothing that was acknowledged is lost, and everything moves again.

`make test-attack` makes an hour of them, with limits for how long things may stand still.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.attack.attack import attack
from tests.attack.watch import Limits
from tests.disks import small_disk
from tests.waiting import LIMIT_S

SECONDS = 60.0 * int(os.environ.get("SEARCHSVC_TEST_ROUNDS", "1"))
MEMORY_MIB = 2000.0
DISK_MIB = 1500
SEED = int(os.environ.get("SEARCHSVC_TEST_SEED", "1"))


def test_what_was_acknowledged_is_there_after_random_attacks(tmp_path: Path) -> None:
    # The machine may be doing something else, so only a hang is too long here.
    limits = Limits(named_s=LIMIT_S, over_s=LIMIT_S, memory_mib=MEMORY_MIB)
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, DISK_MIB):
        outcome = attack(folder, SEED, SECONDS, limits, print)
    assert outcome.violations == []
    assert outcome.acknowledged["documents"] > 0
    assert outcome.acknowledged["events"] > 0
