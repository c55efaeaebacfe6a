"""Parts of a snapshot: named bytes, which learners inside learners put under a prefix each. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final

# Limit on the hashes of users and queries that each rule about votes remembers.
MAX_REMEMBERED: Final = 100_000


def with_prefix(prefix: str, parts: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    return {prefix + name: data for name, data in parts}


def under_prefix(prefix: str, parts: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name.removeprefix(prefix): data for name, data in parts.items() if name.startswith(prefix)}


def drop_oldest(remembered: OrderedDict[bytes, Any]) -> None:
    """Drop the oldest entries past `MAX_REMEMBERED`."""
    while len(remembered) > MAX_REMEMBERED:
        remembered.popitem(last=False)
