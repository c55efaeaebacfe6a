"""The embedded indexes of a data folder: one folder each, opened from its newest good snapshot."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from events.errors import Corrupt, NotFound
from events.index_control import IndexControl
from events.settings import IndexSettings
from searchsvc.engines.embedded import storage
from searchsvc.engines.embedded.engine import EmbeddedEngine
from searchsvc.engines.protocol import Delete, Engine, Upsert

BATCH: Final = 256
log = logging.getLogger(__name__)


class EmbeddedIndexes:
    """`searchsvc.engines.protocol.Indexes` below a folder. model, dimension: of the vectors; '' and 0 without."""

    def __init__(self, folder: Path, model: str, dimension: int) -> None:
        self._folder = folder
        self._model = model
        self._dimension = dimension

    def storage(self, control: IndexControl) -> EmbeddedStorage:
        return EmbeddedStorage(self._folder / _folder_name(control), control.settings, self._model, self._dimension)

    def drop_others(self, controls: Collection[IndexControl]) -> None:
        kept = {_folder_name(control) for control in controls}
        for folder in self._folder.glob("*"):
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)


class EmbeddedStorage:
    """`searchsvc.engines.protocol.IndexStorage` in a folder."""

    def __init__(self, folder: Path, settings: IndexSettings, model: str = "", dimension: int = 0) -> None:
        self._folder = folder
        self._settings = settings
        self._model = model
        self._dimension = dimension
        self._engine: EmbeddedEngine | None = None

    def open(self) -> EmbeddedEngine:
        self._engine = engine = self._newest()
        return engine

    def create(self) -> EmbeddedEngine:
        return storage.empty(self._folder, self._settings, self._dimension)

    def open_previous(self) -> EmbeddedEngine:
        raise NotFound("the embedded engine keeps no index of before: it builds one from the log", field="previous")

    def adopt(self, engine: Engine) -> None:
        if not isinstance(engine, EmbeddedEngine):
            raise TypeError(f"{type(engine).__name__} is no engine of a folder")
        self._engine = engine
        if engine.snapshot().n_documents and not storage.is_kept(self._folder, engine.generation):
            # The others are kept until this one is.
            self.save()
        storage.drop_others(self._folder, engine.generation)

    def save(self) -> None:
        if self._engine is not None:
            storage.save(self._engine, self._folder, self._model)

    def compact(self, encode: Callable[[list[Upsert]], Sequence[Upsert | Delete]]) -> EmbeddedEngine | None:
        old = self._engine
        return self._rebuilt(old, encode) if old is not None and old.wasteful else None

    def _rebuilt(
        self, old: EmbeddedEngine, encoded: Callable[[list[Upsert]], Sequence[Upsert | Delete]]
    ) -> EmbeddedEngine:
        """The same documents in an engine without dead slots."""
        snapshot = old.snapshot()
        self._engine = fresh = storage.empty(self._folder, self._settings, old.dimension)
        slots = old.live_slots()
        for start in range(0, len(slots), BATCH):
            texts = [bytes(snapshot.document(int(slot))) for slot in slots[start : start + BATCH]]
            fresh.apply(encoded([Upsert.from_json(text) for text in texts]), snapshot.catalog_seq)
        storage.drop_others(self._folder, fresh.generation)
        return fresh

    def _newest(self) -> EmbeddedEngine:
        for snapshot in storage.snapshots(self._folder):
            try:
                engine = storage.load(snapshot, self._folder, self._settings, self._model)
            except Corrupt as error:
                log.warning("%s; taking an older snapshot or the log", error)
                shutil.rmtree(snapshot, ignore_errors=True)
                continue
            if engine is not None:
                return engine
        return storage.empty(self._folder, self._settings, self._dimension)


def _folder_name(control: IndexControl) -> str:
    return f"{control.name}-{control.created_seq}"
