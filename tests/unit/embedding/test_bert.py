"""The graph that is built from the weights of a BERT encoder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest

from searchsvc.embedding import bert
from searchsvc.embedding.model import find_model
from tests.unit.embedding.texts import MODEL, TEXTS

CONFIG_FILES = ("config.json", "1_Pooling/config.json", "modules.json")


def test_the_graph_returns_the_vectors_of_sentence_transformers(tmp_path: Path, sentence_transformer: Any) -> None:
    folder = find_model(MODEL).folder
    assert folder is not None
    config = bert.supported_config(folder)
    assert config is not None
    onnx.save(bert.build_graph(folder, config), tmp_path / "full.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "full.onnx"), providers=["CPUExecutionProvider"])
    token_ids = sentence_transformer.tokenizer(list(TEXTS[:3]))["input_ids"]
    vectors = [session.run(None, {"input_ids": np.array([ids], np.int64)})[0][0] for ids in token_ids]
    np.testing.assert_allclose(vectors, sentence_transformer.encode(list(TEXTS[:3])), atol=1e-5)


@pytest.mark.parametrize(
    ("file", "member", "value"),
    [
        ("config.json", "model_type", "roberta"),
        ("config.json", "hidden_act", "relu"),
        ("config.json", "position_embedding_type", "relative_key"),
        ("1_Pooling/config.json", "pooling_mode_mean_tokens", False),
        ("1_Pooling/config.json", "pooling_mode_cls_token", True),
    ],
)
def test_a_model_of_another_kind_is_not_supported(tmp_path: Path, file: str, member: str, value: object) -> None:
    folder = find_model(MODEL).folder
    assert folder is not None
    for name in CONFIG_FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / name, tmp_path / name)
    assert bert.supported_config(tmp_path) is not None
    changed = {**msgspec.json.decode((tmp_path / file).read_bytes()), member: value}
    (tmp_path / file).write_bytes(msgspec.json.encode(changed))
    assert bert.supported_config(tmp_path) is None


def test_a_folder_without_a_model_is_not_supported(tmp_path: Path) -> None:
    assert bert.supported_config(tmp_path) is None
