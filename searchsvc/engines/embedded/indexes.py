"""The embedded indexes of a data folder: a folder for each, opened from its newest good snapshot."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from events.errors import Corrupt, NotFound
from events.index_control import IndexControl
from events.settings import IndexSettings
from searchsvc.engines.embedded import storage
from searchsvc.engines.embedded.engine import EmbeddedEngine
from searchsvc.engines.protocol import Engine

# Vector legs of large indexes that run at the same time; others wait.
N_VECTOR_THREADS: Final = 2
log = logging.getLogger(__name__)


class EmbeddedIndexes:
    """`searchsvc.engines.protocol.Indexes` in a folder.

    model: digest of the model that makes vectors, '' without one
    dimension: of the vectors, 0 without a model
    """

    def __init__(self, folder: Path, model: str, dimension: int) -> None:
        self._folder = folder
        self._model = model
        self._dimension = dimension
        # For all indexes. It starts no thread before a large index is searched.
        self._executor = ThreadPoolExecutor(N_VECTOR_THREADS, thread_name_prefix="vector leg")

    def storage(self, control: IndexControl) -> EmbeddedStorage:
        folder = self._folder / _folder_name(control)
        return EmbeddedStorage(folder, control.settings.indexed, self._model, self._dimension, self._executor)

    def drop_others(self, controls: Collection[IndexControl]) -> None:
        names = {_folder_name(control) for control in controls}
        for folder in self._folder.glob("*"):
            if folder.name not in names:
                shutil.rmtree(folder, ignore_errors=True)


class EmbeddedStorage:
    """`searchsvc.engines.protocol.IndexStorage` in a folder.

    model: see `EmbeddedIndexes`
    dimension: see `EmbeddedIndexes`
    executor: see `EmbeddedEngine`
    """

    def __init__(
        self,
        folder: Path,
        settings: IndexSettings,
        model: str = "",
        dimension: int = 0,
        executor: Executor | None = None,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._model = model
        self._dimension = dimension
        self._executor = executor
        self._engine: EmbeddedEngine | None = None

    def open(self) -> EmbeddedEngine:
        if self._engine is not None:
            self.discard(self._engine)
        self._engine = engine = self._open_newest()
        return engine

    def create(self) -> EmbeddedEngine:
        return storage.create(self._folder, self._settings, self._dimension, self._executor)

    def open_previous(self) -> EmbeddedEngine:
        raise NotFound("the embedded engine keeps no previous index: it rebuilds one from the log", field="previous")

    def adopt(self, engine: Engine) -> None:
        if not isinstance(engine, EmbeddedEngine):
            raise TypeError(f"{type(engine).__name__} is not an embedded engine")
        self._engine = engine
        self._save_new(engine)
        storage.drop_others(self._folder, engine.generation)

    def discard(self, engine: Engine) -> None:
        generation = engine.snapshot().generation
        if not storage.has_snapshot(self._folder, generation):
            storage.drop(self._folder, generation)

    def save(self) -> None:
        if self._engine is not None:
            storage.save(self._engine, self._folder, self._model)

    def compact(self) -> EmbeddedEngine | None:
        engine = self._engine
        if engine is None or not engine.is_worth_compacting:
            return None
        compacted = storage.compact(engine, self._folder, self._executor)
        try:
            self._save_new(compacted)
        except OSError:
            storage.drop(self._folder, compacted.generation)
            raise
        self._engine = compacted
        # Another index may be built beside it.
        storage.drop(self._folder, engine.generation)
        return compacted

    def _save_new(self, engine: EmbeddedEngine) -> None:
        """Save an engine of which nothing is stored, before others are deleted. Raises OSError."""
        if engine.snapshot().n_documents and not storage.has_snapshot(self._folder, engine.generation):
            storage.save(engine, self._folder, self._model)

    def _open_newest(self) -> EmbeddedEngine:
        for snapshot in storage.snapshots(self._folder):
            try:
                engine = storage.load(snapshot, self._folder, self._settings, self._model, self._executor)
            except Corrupt as error:
                log.warning("%s; opening an older snapshot or rebuilding from the log", error)
                shutil.rmtree(snapshot, ignore_errors=True)
                continue
            if engine is not None:
                return engine
        return self.create()


def _folder_name(control: IndexControl) -> str:
    return f"{control.name}-{control.created_seq}"
