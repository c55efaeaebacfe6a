"""An immutable mapping that is quickly copied with changes. Pure.

To change one entry of a dict of a hundred thousand, all of it must be copied; of this mapping, one of many small dicts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final, Generic, TypeVar

V = TypeVar("V")
N_SHARDS: Final = 1024


class ShardedMapping(Mapping[str, V], Generic[V]):
    """A mapping from text, empty by default. Copies share the shards that did not change."""

    def __init__(self, shards: tuple[dict[str, V], ...] = ({},) * N_SHARDS) -> None:
        self._shards = shards

    def with_changes(self, changes: Mapping[str, V | None]) -> ShardedMapping[V]:
        """Return a mapping with some values replaced; None removes an entry."""
        by_shard: dict[int, dict[str, V | None]] = defaultdict(dict)
        for key, value in changes.items():
            by_shard[hash(key) % N_SHARDS][key] = value
        shards = list(self._shards)
        for number, shard_changes in by_shard.items():
            merged = {**shards[number], **shard_changes}
            shards[number] = {key: value for key, value in merged.items() if value is not None}
        return ShardedMapping(tuple(shards))

    def __getitem__(self, key: str) -> V:
        return self._shards[hash(key) % N_SHARDS][key]

    def get(self, key: str, default: V | None = None) -> V | None:  # type: ignore[override]
        """Return the value of a key, or `default`."""
        return self._shards[hash(key) % N_SHARDS].get(key, default)

    def __iter__(self) -> Iterator[str]:
        return (key for shard in self._shards for key in shard)

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    def __bool__(self) -> bool:
        return any(self._shards)
