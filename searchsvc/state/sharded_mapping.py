"""A mapping that never changes, of which another one is made quickly: what did not change is shared. Pure.

A dict of a hundred thousand has to be copied whole to change one thing in it; of this, a few of many small dicts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final, Generic, TypeVar

V = TypeVar("V")
N_SHARDS: Final = 1024


class ShardedMapping(Mapping[str, V], Generic[V]):
    """By text. Empty to begin with."""

    def __init__(self, shards: tuple[dict[str, V], ...] = ({},) * N_SHARDS) -> None:
        self._shards = shards

    def changed(self, changes: Mapping[str, V | None]) -> ShardedMapping[V]:
        """With other values, and without those that are None."""
        by_shard: dict[int, dict[str, V | None]] = defaultdict(dict)
        for name, value in changes.items():
            by_shard[hash(name) % N_SHARDS][name] = value
        shards = list(self._shards)
        for at, some in by_shard.items():
            merged = {**shards[at], **some}
            shards[at] = {name: value for name, value in merged.items() if value is not None}
        return ShardedMapping(tuple(shards))

    def __getitem__(self, name: str) -> V:
        return self._shards[hash(name) % N_SHARDS][name]

    def get(self, name: str, default: V | None = None) -> V | None:  # type: ignore[override]
        return self._shards[hash(name) % N_SHARDS].get(name, default)

    def __iter__(self) -> Iterator[str]:
        return (name for shard in self._shards for name in shard)

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    def __bool__(self) -> bool:
        return any(self._shards)
