"""Encode queries (one at a time, remembered) and documents with an exported model."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from events.errors import Corrupt, Unavailable
from searchsvc.embedding.export import TOKENIZER_FILE, read_manifest
from tuning.arrays import FloatArray

# What a long query says is said by then: of 400 titles pasted whole, each longer than this, every product is still
# among the ten nearest, and the keyword leg reads all of the words. Encoding 64 tokens takes half as long again.
MAX_QUERY_TOKENS: Final = 32
# Documents that a thread takes at a time.
BATCH: Final = 16


class Embedder:
    """A loaded model. Safe for many threads. The vector of a text is the same to the bit whatever else is encoded.

    folder: a verified export. query_threads: cores for a query while nothing else is to be done; it has one otherwise.
    document_threads: documents at once, each on one core.
    """

    def __init__(
        self, folder: Path, *, cache_size: int = 10_000, query_threads: int = 2, document_threads: int = 2
    ) -> None:
        manifest = read_manifest(folder)
        self.dimension = manifest.dimension
        self.digest = manifest.files["model.onnx"]
        self._query_tokenizer = _tokenizer(folder, min(MAX_QUERY_TOKENS, manifest.max_tokens))
        self._document_tokenizer = _tokenizer(folder, manifest.max_tokens)
        self._session = _session(folder)
        cores = sorted(os.sched_getaffinity(0))
        query_threads = min(query_threads, len(cores))
        self._cores_alone = cores[::query_threads]
        self._session_alone = self._session
        if query_threads > 1:
            self._session_alone = _session(folder, query_threads, set(cores).difference(self._cores_alone))
        self._document_threads = ThreadPoolExecutor(document_threads, thread_name_prefix="encode")
        self._cache: OrderedDict[str, FloatArray] = OrderedDict()
        self._cache_size = cache_size
        self._lock = threading.Lock()

    def cached(self, query: str) -> FloatArray | None:
        """The remembered vector of a query, if there is one."""
        with self._lock:
            vector = self._cache.get(query)
            if vector is not None:
                self._cache.move_to_end(query)
            return vector

    def encode_query(self, query: str, *, alone: bool = False) -> FloatArray:
        """(dimension,) of length 1. alone: nothing else is to be done meanwhile. Raises Unavailable where the model
        fails."""
        vector = self.cached(query)
        if vector is None:
            tokens = self._query_tokenizer.encode(query).ids
            if alone:
                with _kept_on(self._cores_alone):
                    vector = _encoded(self._session_alone, tokens)
            else:
                vector = _encoded(self._session, tokens)
            with self._lock:
                self._cache[query] = vector
                if len(self._cache) > self._cache_size:
                    self._cache.popitem(last=False)
        return vector

    def encode_documents(
        self, texts: Sequence[str], progress: Callable[[int], None] = lambda n_done: None
    ) -> FloatArray:
        """(n, dimension), rows of length 1, in the order given. progress: told how many are done, now and then."""
        vectors = np.empty((len(texts), self.dimension), np.float32)

        def encode(start: int) -> int:
            end = min(start + BATCH, len(texts))
            for row in range(start, end):
                vectors[row] = _encoded(self._session, self._document_tokenizer.encode(texts[row]).ids)
            return end

        for n_done in self._document_threads.map(encode, range(0, len(texts), BATCH)):
            progress(n_done)
        return vectors


def _encoded(session: Any, tokens: list[int]) -> FloatArray:
    try:
        vector: FloatArray = session.run(None, {"input_ids": np.array([tokens], np.int64)})[0][0]
    except Exception as error:  # onnxruntime raises a class of its own per status code, all straight from Exception
        raise Unavailable(f"the embedding model failed: {error}") from error
    if not np.isfinite(vector).all():
        raise Unavailable("the embedding model gave numbers that are not finite")
    return vector


def _tokenizer(folder: Path, max_tokens: int) -> Any:
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    except Exception as error:  # tokenizers raises plain Exception
        raise Corrupt(f"{folder / TOKENIZER_FILE} is no tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


@contextmanager
def _kept_on(cores: Collection[int]) -> Iterator[None]:
    """The calling thread stays on these cores meanwhile, where they are its own and the system allows it."""
    before = os.sched_getaffinity(0)
    with suppress(OSError):
        os.sched_setaffinity(0, before.intersection(cores))
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, before)


def _session(folder: Path, threads: int = 1, workers_on: Collection[int] = ()) -> Any:
    """workers_on: cores for all threads but the one that asks."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if threads > 1:
        # Between two operators a worker spins: woken for each, it would come too late. Idle, it would spin on the core
        # that others need.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        # Woken on the core of who asks, a worker that spins would keep it from going on for a whole slice of time.
        numbered = ",".join(str(core + 1) for core in sorted(workers_on))
        options.add_session_config_entry("session.intra_op_thread_affinities", ";".join([numbered] * (threads - 1)))
    try:
        return onnxruntime.InferenceSession(
            str(folder / "model.onnx"),
            options,
            providers=["CPUExecutionProvider"],
            # The fused operator adds and normalises one number at a time: 67 us where the plain two take 20.
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except Exception as error:  # onnxruntime raises a class of its own per status code, all straight from Exception
        raise Corrupt(f"{folder / 'model.onnx'} does not load: {error}") from error
