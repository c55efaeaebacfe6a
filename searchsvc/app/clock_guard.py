"""Asks before a clock that is far ahead destroys what has an age limit.

With a wrong clock the log would drop its 90 days of behavior, and the keyring destroy every key of them. So the time is
noted while a service runs, and one that is much later must be confirmed by whatever starts the log's server: a service,
or a command on the folder of a stopped one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from events.errors import Corrupt
from searchsvc.runtime.files import replace_private

CLOCK_NAME: Final = "clock.json"
MAX_AHEAD: Final = timedelta(days=30)
MAX_BEHIND: Final = timedelta(days=1)


class _Use(msgspec.Struct, frozen=True):
    last_seen: datetime


def require_plausible(folder: Path, now: datetime, *, accept: bool) -> None:
    """Record that a folder is in use at a time. Blocks.

    accept: the clock is right, however far ahead

    Raises Corrupt, and records nothing, if it may be far ahead and is not accepted.
    """
    ahead = describe_clock_ahead(folder, now)
    if ahead and not accept:
        raise Corrupt(ahead)
    record_use(folder, now)


def describe_clock_ahead(folder: Path, now: datetime) -> str:
    """Return why the clock may be far ahead; '' if it is not. Blocks."""
    last_use = _last_use(folder)
    if last_use is None or now - last_use <= MAX_AHEAD:
        return ""
    return (
        f"the clock says {now:%Y-%m-%d %H:%M}, {(now - last_use).days} days after {folder} was in use last: behavior "
        "and keys of shoppers that are older than 90 days would be destroyed. Set the clock; or, if it is right, give "
        "--accept-clock once"
    )


def describe_clock_behind(folder: Path, now: datetime) -> str:
    """Return why the clock may be behind, which destroys nothing; '' if it is not. Blocks."""
    last_use = _last_use(folder)
    if last_use is None or last_use - now <= MAX_BEHIND:
        return ""
    return f"the clock says {now:%Y-%m-%d %H:%M}, but {folder} was in use at {last_use:%Y-%m-%d %H:%M}"


def record_use(folder: Path, now: datetime) -> None:
    """Record that a folder is in use at a time. A clock that was set back changes nothing. Blocks."""
    last_use = _last_use(folder)
    if last_use is None or now > last_use:
        replace_private(folder / CLOCK_NAME, msgspec.json.encode(_Use(now)) + b"\n")


def _last_use(folder: Path) -> datetime | None:
    try:
        return msgspec.json.decode((folder / CLOCK_NAME).read_bytes(), type=_Use).last_seen
    except (FileNotFoundError, msgspec.DecodeError):
        return None
