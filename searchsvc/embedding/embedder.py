"""Encode queries (one at a time, remembered) and documents (many at a time) with an exported model."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from events.errors import Corrupt, Unavailable
from searchsvc.arrays import FloatArray
from searchsvc.embedding.export import TOKENIZER_FILE, read_manifest

# What a long query says is said by then: of 400 titles pasted whole, each longer than this, every product is still
# among the ten nearest, and the keyword leg reads all of the words. Encoding 64 tokens takes half as long again.
MAX_QUERY_TOKENS: Final = 32
# Small batches stay in the cache of one core: twice the documents a second of batches of 64.
BATCH: Final = 16


class Embedder:
    """A loaded model. Safe for many threads.

    folder: a verified export. query_threads, document_threads: cores for one query, and for documents.
    """

    def __init__(
        self, folder: Path, *, cache_size: int = 10_000, query_threads: int = 1, document_threads: int = 2
    ) -> None:
        manifest = read_manifest(folder)
        self.dimension = manifest.dimension
        self.digest = manifest.files["model.onnx"]
        self._query_tokenizer = _tokenizer(folder, min(MAX_QUERY_TOKENS, manifest.max_tokens))
        self._document_tokenizer = _tokenizer(folder, manifest.max_tokens)
        self._query_session = _session(folder, query_threads)
        self._document_session = _session(folder, document_threads)
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

    def encode_query(self, query: str) -> FloatArray:
        """(dimension,) of length 1. Raises Unavailable where the model fails."""
        vector = self.cached(query)
        if vector is None:
            tokens = self._query_tokenizer.encode(query).ids
            vector = self._run(self._query_session, np.array([tokens], np.int64), np.ones((1, len(tokens)), np.int64))[
                0
            ]
            with self._lock:
                self._cache[query] = vector
                if len(self._cache) > self._cache_size:
                    self._cache.popitem(last=False)
        return vector

    def encode_documents(
        self, texts: Sequence[str], progress: Callable[[int], None] = lambda n_done: None
    ) -> FloatArray:
        """(n, dimension), rows of length 1, in the order given. progress: told how many are done, now and then."""
        tokens = [encoding.ids for encoding in self._document_tokenizer.encode_batch(list(texts))]
        by_length = sorted(range(len(texts)), key=lambda i: len(tokens[i]))
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for start in range(0, len(by_length), BATCH):
            chosen = by_length[start : start + BATCH]
            width = len(tokens[chosen[-1]])
            ids = np.zeros((len(chosen), width), np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(chosen):
                ids[row, : len(tokens[i])] = tokens[i]
                mask[row, : len(tokens[i])] = 1
            vectors[chosen] = self._run(self._document_session, ids, mask)
            progress(start + len(chosen))
        return vectors

    def _run(self, session: Any, ids: Any, mask: Any) -> FloatArray:
        try:
            vectors: FloatArray = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        except Exception as error:  # onnxruntime raises a class of its own per status code, all straight from Exception
            raise Unavailable(f"the embedding model failed: {error}") from error
        if not np.isfinite(vectors).all():
            raise Unavailable("the embedding model gave numbers that are not finite")
        return vectors


def _tokenizer(folder: Path, max_tokens: int) -> Any:
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    except Exception as error:  # tokenizers raises plain Exception
        raise Corrupt(f"{folder / TOKENIZER_FILE} is no tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _session(folder: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle workers would spin on the core that the keyword leg needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
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
