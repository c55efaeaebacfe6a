"""Create, configure, rebuild and delete indexes, and describe them."""

from __future__ import annotations

import msgspec

from events.errors import NotFound
from events.index_control import IndexControl
from events.settings import IndexSettings
from searchsvc.changes.author import Author
from searchsvc.changes.commands import Commands
from searchsvc.changes.control_writer import Changed
from searchsvc.engines.protocol import EngineSnapshot
from searchsvc.indexing.indexers import Indexers
from searchsvc.indexing.rebuild import RebuildStatus
from searchsvc.state.serving import Serving


class ServedIndex(msgspec.Struct, frozen=True):
    """One index as it is served.

    control: its settings, weights and rules
    snapshot: what searches read; None while it is being built
    error: why it is not kept up to date; '' if it is
    rebuild: the last rebuild since the start, which may be in progress; None without one
    """

    control: IndexControl
    snapshot: EngineSnapshot | None
    error: str
    rebuild: RebuildStatus | None


class IndexAdministration:
    """The indexes as their owner manages them."""

    def __init__(self, serving: Serving, commands: Commands, indexers: Indexers) -> None:
        self._serving = serving
        self._commands = commands
        self._indexers = indexers

    @property
    def names(self) -> list[str]:
        """The names of all indexes."""
        return list(self._serving.current.control.indexes)

    def get(self, name: str) -> ServedIndex:
        """Describe one index. Raises NotFound."""
        state, indexers = self._serving.current, self._indexers
        control = state.control.index(name)
        return ServedIndex(
            control, state.snapshots.get(name), indexers.failed.get(name, ""), indexers.last_rebuild(name)
        )

    async def configure(self, name: str, settings: IndexSettings, author: Author) -> Changed:
        """Create an index or replace its settings. Raises InvalidInput, Forbidden, Unavailable."""
        return await self._commands.configure_index(name, settings, author)

    async def delete(self, name: str, author: Author) -> Changed:
        """Delete an index with all its documents. Raises NotFound, Forbidden, Unavailable."""
        return await self._commands.delete_index(name, author)

    def rebuild(self, name: str, *, previous: bool, force: bool) -> RebuildStatus:
        """Start to rebuild an index while it is searched; if a rebuild is in progress, return its status.

        previous: go back to the index before the last rebuild instead
        force: replace the index even if the canary queries find other hits

        Raises NotFound, and Unavailable while it is built for the first time.
        """
        return self._indexers.rebuild(name, previous=previous, force=force)

    def last_rebuild(self, name: str) -> RebuildStatus:
        """Return the status of the last rebuild since the start. Raises NotFound."""
        self._serving.current.control.index(name)
        status = self._indexers.last_rebuild(name)
        if status is None:
            raise NotFound(f"index {name} was not rebuilt since the service started", field="index", value=name)
        return status
