"""The graph that torch traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from searchsvc.embedding.embedder import Embedder
from searchsvc.embedding.export import quantize
from searchsvc.embedding.model import find_model
from searchsvc.embedding.tracing import trace
from tests.unit.embedding.texts import MODEL, TEXTS


def test_a_traced_model_returns_the_same_vectors_as_the_built_one(
    tmp_path: Path, sentence_transformer: Any, model_export: Path
) -> None:
    traced = trace(find_model(MODEL), tmp_path / "tokenizer.json", tmp_path / "full.onnx")
    assert traced == (384, 256)
    assert (tmp_path / "tokenizer.json").exists()
    quantize(tmp_path / "full.onnx", tmp_path / "model.onnx")
    tokens = sentence_transformer.tokenizer(list(TEXTS[:1]), return_tensors="np")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    vector = session.run(None, {"input_ids": tokens["input_ids"].astype(np.int64)})[0][0]
    assert float(vector @ Embedder(model_export).encode_query(TEXTS[0])) > 0.98
