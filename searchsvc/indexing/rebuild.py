"""An index built anew from CATALOG beside the one that is searched, which then takes its place.

read all of CATALOG, resting as long as it works  ->  ask canary queries of both  ->  hold the writes: read the rest,
adopt it, show it

Whatever fails on the way, what is searched stays as it was.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from events.errors import LaterVersion, NotFound, SearchsvcError, Unavailable
from events.index_control import IndexControl
from searchsvc.engines.protocol import Engine, EngineSnapshot, IndexStorage
from searchsvc.indexing.indexer import Indexer
from searchsvc.runtime.tasks import whole

# A search that comes meanwhile waits behind no more than so many documents, and for as long as one batch takes there is
# a rest.
BATCH: Final = 64
REST: Final = 1.0
# Built by the same settings, an index finds other documents only where vectors are nearly equally near.
LEAST_SHARED: Final = 0.8

Why = Literal["asked", "previous", "settings"]
Phase = Literal["reading", "comparing", "done", "failed"]
log = logging.getLogger(__name__)


class Canary(msgspec.Struct, frozen=True):
    """A query that both indexes were asked. before, after: ids of the first hits."""

    query: str
    before: list[str]
    after: list[str]

    @property
    def shared(self) -> float:
        """The part of what was found before that is found still; 1 where nothing was."""
        return len({*self.before} & {*self.after}) / len(self.before) if self.before else 1.0

    @property
    def silent(self) -> bool:
        """Whether it finds nothing any more."""
        return bool(self.before) and not self.after


class Comparison(msgspec.Struct, frozen=True):
    """The old index and the new one. documents_*: how many each holds. n_canaries: queries that both were asked.
    overlap: the mean part of the first hits that stayed. differing: those that kept the least, the worst first."""

    documents_before: int
    documents_after: int
    n_canaries: int
    overlap: float
    differing: list[Canary]


class RebuildStatus(msgspec.Struct):
    """How far it is. trigger: somebody asked; for the one that was searched before; or the settings changed.
    n_documents:
    of so many, about, the new index holds `n_read`. error: why it failed; '' where it did not."""

    index: str
    trigger: Why
    phase: Phase
    before: str
    after: str
    n_read: int
    n_documents: int
    started_at: datetime
    seconds: float = 0.0
    comparison: Comparison | None = None
    error: str = ""


class Refused(SearchsvcError):
    """The new index differs by more than it may: it is not put in the other's place."""


Compare = Callable[[str, EngineSnapshot, EngineSnapshot], Comparison]


class Rebuild:
    """One rebuild. control, storage: as the index will be. compare: blocks; is given the index's name and both
    snapshots. forced: whatever that says."""

    def __init__(
        self,
        indexer: Indexer,
        control: IndexControl,
        storage: IndexStorage,
        compare: Compare,
        *,
        why: Why,
        forced: bool = False,
    ) -> None:
        self._indexer = indexer
        self._control = control
        self._storage = storage
        self._compare = compare
        self._forced = forced
        self._began = time.monotonic()
        before = indexer.engine.snapshot() if indexer.engine is not None else None
        self.status = RebuildStatus(
            index=control.name,
            trigger=why,
            phase="reading",
            before=before.generation if before is not None else "",
            after="",
            n_read=0,
            n_documents=before.n_documents if before is not None else 0,
            started_at=datetime.now(UTC),
        )

    async def run(self) -> None:
        """Raises what keeps it from being done, and says so in `status`."""
        status = self.status
        log.warning("index %s is built anew beside %s (%s)", status.index, status.before, status.trigger)
        try:
            await self._run()
        except BaseException as error:
            if status.phase != "done":
                said = "stopped before it was done" if isinstance(error, asyncio.CancelledError) else str(error)
                status.error = said or type(error).__name__
                self._reach("failed")
                log.warning("index %s stays as it is: %s", status.index, status.error)
            raise

    async def _run(self) -> None:
        indexer, status = self._indexer, self.status
        n_opened = indexer.n_opened
        open_new = {
            "asked": self._storage.create,
            "previous": self._storage.open_previous,
            "settings": self._storage.open,
        }[status.trigger]
        engine: Engine = await indexer.on_thread(open_new)
        if not await indexer.is_of_this_log(engine):
            if status.trigger == "previous":
                raise NotFound(f"{engine.snapshot().generation} was read from another log", field="previous")
            engine = await indexer.on_thread(self._storage.create)
            await indexer.is_of_this_log(engine)
        status.after = engine.snapshot().generation

        async def after_each(took_s: float) -> None:
            status.n_read = engine.snapshot().n_documents
            self._reach("reading")
            await asyncio.sleep(REST * took_s)

        # Past an event of a later version nobody can read, the old index as little as this one.
        with suppress(LaterVersion):
            await indexer.read_into(engine, batch=BATCH, after_each=after_each)
        self._reach("comparing")
        before = self._old(n_opened).snapshot()
        status.comparison = await asyncio.to_thread(self._compare, status.index, before, engine.snapshot())
        self._require_alike(status.comparison)
        async with indexer.writes:
            old = self._old(n_opened)
            with suppress(LaterVersion):
                await indexer.read_into(old)
                await indexer.read_into(engine)
            counted = (old.snapshot().n_documents, engine.snapshot().n_documents)
            status.comparison = msgspec.structs.replace(
                status.comparison, documents_before=counted[0], documents_after=counted[1]
            )
            if old.snapshot().digest != engine.snapshot().digest:
                # The log is right, and only one of them was read from it just now.
                log.warning("index %s held other documents than the log: %d, now %d", status.index, *counted)
            # Adopted and not written to, it would have taken the old one's files away.
            await whole(self._take_over(engine))

    async def _take_over(self, engine: Engine) -> None:
        await self._indexer.on_thread(lambda: self._storage.adopt(engine))
        self._indexer.replace(self._control, self._storage, engine)
        await self._indexer.show()
        self._reach("done")
        status = self.status
        log.warning("index %s is searched in %s now, after %g s", status.index, status.after, status.seconds)

    def _reach(self, phase: Phase) -> None:
        """The phase last: whoever sees it has what belongs to it."""
        self.status.seconds = round(time.monotonic() - self._began, 3)
        self.status.phase = phase

    def _old(self, n_opened: int) -> Engine:
        """The engine that is searched. Raises Unavailable where it is another than when this began."""
        engine = self._indexer.engine
        if engine is None or self._indexer.n_opened != n_opened:
            raise Unavailable(f"index {self.status.index} was opened again meanwhile")
        return engine

    def _require_alike(self, comparison: Comparison) -> None:
        """Other settings may find others; the same ones should not."""
        said = f"of what {comparison.n_canaries} queries found first, {comparison.overlap:.0%} is found first still"
        silent = next((one.query for one in comparison.differing if one.silent), None)
        if silent is not None:
            said = f"{silent!r} finds nothing any more; {said}"
        elif comparison.overlap >= LEAST_SHARED:
            return
        if self._forced or self.status.trigger == "settings":
            log.warning("index %s: %s", self.status.index, said)
            return
        raise Refused(f"{said}. Forced, it is put in the other's place all the same")
