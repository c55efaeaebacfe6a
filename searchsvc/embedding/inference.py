"""Run an exported model on onnxruntime: load it, encode one text, and keep a thread on some cores."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from events.errors import Corrupt, Unavailable
from searchsvc.embedding.export import MODEL_FILE, TOKENIZER_FILE
from tuning.arrays import FloatArray


def load_session(folder: Path, n_threads: int = 1, worker_cores: Collection[int] = ()) -> Any:
    """Load the model of an export folder.

    n_threads: threads of one inference, the calling thread included
    worker_cores: cores for the other threads

    Raises Corrupt if the model does not load.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if n_threads > 1:
        # Between two operators a worker spins: waking it for each would take too long. After the inference it must stop
        # spinning, or it would occupy a core that others need.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        # On the core of the calling thread, a spinning worker would block it for a whole time slice.
        numbered = ",".join(str(core + 1) for core in sorted(worker_cores))
        options.add_session_config_entry("session.intra_op_thread_affinities", ";".join([numbered] * (n_threads - 1)))
    try:
        return onnxruntime.InferenceSession(
            str(folder / MODEL_FILE),
            options,
            providers=["CPUExecutionProvider"],
            # The fused operator adds and normalizes one number at a time: 67 us, where the two plain operators take 20.
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except Exception as error:  # onnxruntime raises a class of its own per status code, all straight from Exception
        raise Corrupt(f"{folder / MODEL_FILE} does not load: {error}") from error


def load_tokenizer(folder: Path, max_tokens: int) -> Any:
    """Load the tokenizer of an export folder. It cuts texts to max_tokens. Raises Corrupt if it does not load."""
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    except Exception as error:  # tokenizers raises plain Exception
        raise Corrupt(f"{folder / TOKENIZER_FILE} is not a tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def encode(session: Any, token_ids: Sequence[int]) -> FloatArray:
    """Return the (dimension,) vector of one text, of length 1. Raises Unavailable if the model fails."""
    try:
        vector: FloatArray = session.run(None, {"input_ids": np.array([token_ids], np.int64)})[0][0]
    except Exception as error:  # onnxruntime raises a class of its own per status code, all straight from Exception
        raise Unavailable(f"the embedding model failed: {error}") from error
    if not np.isfinite(vector).all():
        raise Unavailable("the embedding model returned numbers that are not finite")
    return vector


@contextmanager
def pinned_to(cores: Collection[int]) -> Iterator[None]:
    """Keep the calling thread on those of these cores that it may use. Does nothing if the system forbids it."""
    before = os.sched_getaffinity(0)
    with suppress(OSError):
        os.sched_setaffinity(0, before.intersection(cores))
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, before)
