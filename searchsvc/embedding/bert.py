"""Build the ONNX graph of a BERT sentence encoder from its safetensors weights, without torch.

It covers what sentence-transformers calls Transformer(BertModel) -> Pooling(mean) -> Normalize: from token ids to one
vector of length 1. The three projections of attention are one matrix product, its scale is multiplied into the query
weights, and attention is one operator of onnxruntime. Texts are encoded one at a time, so they need no padding and no
mask.

Source: Devlin et al. 2019; the layout of the weights is that of `transformers.BertModel`. A test compares the output
with sentence-transformers: cosine 1.0 before quantization.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from searchsvc.embedding.model import WEIGHTS_FILE
from tuning.arrays import AnyArray

OPSET: Final = 20
IR_VERSION: Final = 10
ONNXRUNTIME: Final = "com.microsoft"


class BertConfig(msgspec.Struct, frozen=True):
    """The members of config.json that decide the graph."""

    model_type: str
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    layer_norm_eps: float
    hidden_act: str = "gelu"
    position_embedding_type: str = "absolute"


class PoolingConfig(msgspec.Struct, frozen=True):
    """The members of 1_Pooling/config.json that decide the graph."""

    pooling_mode_mean_tokens: bool = False
    pooling_mode_cls_token: bool = False


def supported_config(folder: Path) -> BertConfig | None:
    """Return the configuration of a model folder, or None if this module cannot build the model."""
    try:
        config = msgspec.json.decode((folder / "config.json").read_bytes(), type=BertConfig)
        pooling = msgspec.json.decode((folder / "1_Pooling" / "config.json").read_bytes(), type=PoolingConfig)
        modules = msgspec.json.decode((folder / "modules.json").read_bytes(), type=list[dict[str, str | int]])
    except (OSError, msgspec.DecodeError):
        return None
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    plain = config.model_type == "bert" and config.hidden_act == "gelu" and config.position_embedding_type == "absolute"
    mean = pooling.pooling_mode_mean_tokens and not pooling.pooling_mode_cls_token
    return config if plain and mean and kinds == ["Transformer", "Pooling", "Normalize"] else None


def build_graph(folder: Path, config: BertConfig) -> onnx.ModelProto:
    """Return the graph of a model folder.

    Its input `input_ids` is (batch, length) int64 without padding, its output `embedding` (batch, hidden_size) float32
    with rows of length 1.
    """
    return _GraphBuilder(load_file(folder / WEIGHTS_FILE), config).model()


class _GraphBuilder:
    """Collects the nodes and constants of the graph. Each method adds nodes and returns the name of their output."""

    def __init__(self, weights: dict[str, AnyArray], config: BertConfig) -> None:
        self._weights = weights
        self._config = config
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def model(self) -> onnx.ModelProto:
        hidden = self._embed()
        for layer in range(self._config.num_hidden_layers):
            hidden = self._layer(hidden, f"encoder.layer.{layer}")
        mean = self._op("ReduceMean", [hidden, self._ints("one", [1])], "mean", keepdims=0)
        self._op("LpNormalization", [mean], "embedding", axis=1, p=2)
        input_ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "l"])
        embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["b", self._config.hidden_size])
        graph = helper.make_graph(self._nodes, "bert", [input_ids], [embedding], list(self._constants.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ONNXRUNTIME, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model

    def _embed(self) -> str:
        table = "embeddings.{}_embeddings.weight"
        # Every token has type 0: a text is one segment.
        positions = self._weights[table.format("position")] + self._weights[table.format("token_type")][0]
        shape = self._op("Shape", ["input_ids"], "shape")
        length = self._op("Gather", [shape, self._ints("one", [1])], "length")
        zero = self._ints("zero", [0])
        position = self._op("Slice", [self._constant("positions", positions), zero, length], "position")
        word = self._op("Gather", [self._constant("words", self._weights[table.format("word")]), "input_ids"], "word")
        return self._normalized(self._op("Add", [word, position], "embedded"), "embeddings.LayerNorm")

    def _layer(self, hidden: str, name: str) -> str:
        attended = self._dense(self._attention(hidden, name), f"{name}.attention.output.dense")
        added = self._op("Add", [attended, hidden], f"{name}.attended")
        hidden = self._normalized(added, f"{name}.attention.output.LayerNorm")
        wide = self._op("Gelu", [self._dense(hidden, f"{name}.intermediate.dense")], f"{name}.wide")
        added = self._op("Add", [self._dense(wide, f"{name}.output.dense"), hidden], f"{name}.added")
        return self._normalized(added, f"{name}.output.LayerNorm")

    def _attention(self, hidden: str, name: str) -> str:
        size, heads = self._config.hidden_size, self._config.num_attention_heads
        parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        scale = np.array([(size / heads) ** -0.5, 1.0, 1.0], np.float32).repeat(size)
        matrix = np.concatenate([self._weights[f"{part}.weight"] for part in parts]) * scale[:, None]
        offset = np.concatenate([self._weights[f"{part}.bias"] for part in parts]) * scale
        projected = self._affine(hidden, matrix, offset, f"{name}.projected")
        outputs = [f"{name}.{part}" for part in "qkv"]
        self._nodes.append(helper.make_node("Split", [projected], outputs, axis=-1, num_outputs=3))
        return self._op(
            "MultiHeadAttention", outputs, f"{name}.context", domain=ONNXRUNTIME, num_heads=heads, scale=1.0
        )

    def _dense(self, hidden: str, name: str) -> str:
        return self._affine(hidden, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], name)

    def _affine(self, hidden: str, matrix: AnyArray, offset: AnyArray, name: str) -> str:
        product = self._op("MatMul", [hidden, self._constant(f"{name}.matrix", matrix.T)], f"{name}.product")
        return self._op("Add", [product, self._constant(f"{name}.offset", offset)], f"{name}.out")

    def _normalized(self, hidden: str, name: str) -> str:
        scale = self._constant(f"{name}.scale", self._weights[f"{name}.weight"])
        offset = self._constant(f"{name}.offset", self._weights[f"{name}.bias"])
        epsilon = self._config.layer_norm_eps
        return self._op("LayerNormalization", [hidden, scale, offset], f"{name}.out", axis=-1, epsilon=epsilon)

    def _op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _ints(self, name: str, values: list[int]) -> str:
        return self._constant(name, np.array(values, np.int64))

    def _constant(self, name: str, value: Any) -> str:
        self._constants[name] = (
            numpy_helper.from_array(np.ascontiguousarray(value), name)
            if np.ndim(value)
            else numpy_helper.from_array(np.array(value), name)
        )
        return name
