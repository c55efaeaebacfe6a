"""Trace a model with torch to an ONNX graph. torch and sentence-transformers are imported here only, when called."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Final, NamedTuple

from events.errors import Unavailable
from searchsvc.embedding.model import ModelSource

OPSET: Final = 17
DEFAULT_MAX_TOKENS: Final = 256


class TracedModel(NamedTuple):
    """The vectors of a model: their dimension, and after how many tokens it cuts a text."""

    dimension: int
    max_tokens: int


def trace(source: ModelSource, tokenizer_file: Path, graph_file: Path) -> TracedModel:
    """Load any model with sentence-transformers and trace it with torch.

    tokenizer_file: file to write the tokenizer to
    graph_file: file to write the graph to

    Raises Unavailable if either package is missing or the model cannot be loaded.
    """
    try:
        import torch
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise Unavailable(
            f"exporting {source.name} needs torch and sentence-transformers, and they do not import: {error}"
        ) from error
    try:
        model: Any = SentenceTransformer(str(source.folder or source.name), device="cpu").eval()
    except (OSError, ValueError) as error:
        raise Unavailable(f"{source.name} cannot be loaded: {error}") from error

    class TokensToVector(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked here
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any) -> Any:
            mask = torch.ones_like(input_ids)
            vectors = self.model({"input_ids": input_ids, "attention_mask": mask})["sentence_embedding"]
            return torch.nn.functional.normalize(vectors, p=2, dim=1)

    example = torch.ones((2, 8), dtype=torch.int64)
    with torch.no_grad(), warnings.catch_warnings():
        # torch recommends its new exporter, which needs another package and fails on more models.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            TokensToVector(),
            (example,),
            str(graph_file),
            input_names=["input_ids"],
            output_names=["embedding"],
            dynamic_axes={"input_ids": {0: "b", 1: "l"}, "embedding": {0: "b"}},
            opset_version=OPSET,
            dynamo=False,
        )
    model.tokenizer.backend_tokenizer.save(str(tokenizer_file))
    return TracedModel(int(model.get_embedding_dimension()), int(model.max_seq_length or DEFAULT_MAX_TOKENS))
