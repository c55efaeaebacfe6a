"""Attack a service for as long as wanted: python -m tests.attack --seed 1 --seconds 3600."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import msgspec

from tests.attack.attack import attack
from tests.attack.watch import Limits
from tests.disks import small_disk

LIMITS = Limits(named_s=5.0, over_s=30.0, memory_mib=2000.0)


def main() -> None:
    """Attack once, print the outcome as JSON, and end with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument(
        "--disk-mib", type=int, default=1500, help="size of the disk that is filled, in memory (needs root)"
    )
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="searchsvc-attack-"))
    say = partial(print, file=sys.stderr)
    with small_disk(folder, options.disk_mib) as missing:
        if missing:
            say(f"the disk is not filled: {missing}")
        outcome = attack(folder, options.seed, options.seconds, LIMITS, say)
        if outcome.violations:
            kept = folder.with_name(f"{folder.name}-kept")
            shutil.copytree(folder, kept)
            say(f"the data folder and the log of the service are in {kept}")
    shutil.rmtree(folder)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(outcome)).decode() + "\n")
    sys.exit(bool(outcome.violations))


if __name__ == "__main__":
    main()
