"""Encode queries, one at a time and cached, and documents, with an exported model."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np

from searchsvc.embedding.export import MODEL_FILE, read_manifest
from searchsvc.embedding.inference import encode, load_session, load_tokenizer, pinned_to
from tuning.arrays import FloatArray

# The meaning of a long query is clear by then: of 400 whole titles as queries, each longer than this, every product is
# still among the ten nearest, and the keyword leg reads all words. Encoding 64 tokens takes half as long again.
MAX_QUERY_TOKENS: Final = 32
# No vocabulary has this character of no language, so its token is that of unknown words.
UNWRITABLE: Final = "\ue000"
# Words that are remembered as whole or unknown.
MAX_KNOWN_WORDS: Final = 20_000
# Documents that a thread encodes at a time.
BATCH: Final = 8


class Embedder:
    """A loaded model, for many threads. The vector of a text is the same to the bit, however many texts are encoded.

    folder: an export folder
    cache_size: queries whose vectors are kept
    query_threads: threads for a query that may use all cores
    document_threads: documents that are encoded at once, on a core each
    """

    def __init__(
        self, folder: Path, *, cache_size: int = 10_000, query_threads: int = 2, document_threads: int = 2
    ) -> None:
        manifest = read_manifest(folder)
        self.dimension = manifest.dimension
        self.digest = manifest.files[MODEL_FILE]
        self._query_tokenizer = load_tokenizer(folder, min(MAX_QUERY_TOKENS, manifest.max_tokens))
        self._document_tokenizer = load_tokenizer(folder, manifest.max_tokens)
        self._unknown_token = next(iter(self._query_tokenizer.encode(UNWRITABLE, add_special_tokens=False).ids), None)
        self._known_words: dict[str, bool] = {}
        self._session = load_session(folder)
        cores = sorted(os.sched_getaffinity(0))
        query_threads = min(query_threads, len(cores))
        # With several threads, the calling thread and the workers are on different cores.
        self._calling_cores = cores[::query_threads]
        self._parallel_session = self._session
        if query_threads > 1:
            worker_cores = set(cores).difference(self._calling_cores)
            self._parallel_session = load_session(folder, query_threads, worker_cores)
        self._document_threads = ThreadPoolExecutor(document_threads, thread_name_prefix="encode")
        self._cache: OrderedDict[str, FloatArray] = OrderedDict()
        self._cache_size = cache_size
        self._lock = threading.Lock()

    def cached(self, query: str) -> FloatArray | None:
        """Return the vector of a query if it is in the cache."""
        with self._lock:
            vector = self._cache.get(query)
            if vector is not None:
                self._cache.move_to_end(query)
            return vector

    def knows(self, word: str) -> bool:
        """Return whether a folded word is in the model's vocabulary as a whole, and not only in pieces."""
        is_whole = self._known_words.get(word)
        if is_whole is None:
            if len(self._known_words) >= MAX_KNOWN_WORDS:
                self._known_words = {}
            token_ids = self._query_tokenizer.encode(word, add_special_tokens=False).ids
            is_whole = self._known_words[word] = len(token_ids) == 1 and token_ids[0] != self._unknown_token
        return is_whole

    def encode_query(self, query: str, *, all_cores: bool = False) -> FloatArray:
        """Return the (dimension,) vector of a query, of length 1.

        all_cores: use `query_threads` threads, because nothing else needs the cores now

        Raises Unavailable if the model fails.
        """
        vector = self.cached(query)
        if vector is None:
            token_ids = self._query_tokenizer.encode(query).ids
            if all_cores:
                with pinned_to(self._calling_cores):
                    vector = encode(self._parallel_session, token_ids)
            else:
                vector = encode(self._session, token_ids)
            self._remember(query, vector)
        return vector

    def encode_documents(
        self, texts: Sequence[str], progress: Callable[[int], None] = lambda n_done: None
    ) -> FloatArray:
        """Return the (n, dimension) vectors of texts, in order, rows of length 1.

        progress: called with the number of texts that are done, now and then

        Raises Unavailable if the model fails.
        """
        vectors = np.empty((len(texts), self.dimension), np.float32)

        def encode_batch(start: int) -> int:
            end = min(start + BATCH, len(texts))
            for row in range(start, end):
                vectors[row] = encode(self._session, self._document_tokenizer.encode(texts[row]).ids)
            return end

        for n_done in self._document_threads.map(encode_batch, range(0, len(texts), BATCH)):
            progress(n_done)
        return vectors

    def _remember(self, query: str, vector: FloatArray) -> None:
        with self._lock:
            self._cache[query] = vector
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
