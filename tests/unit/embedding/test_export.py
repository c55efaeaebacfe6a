"""The export of a model: close to the original, verified, and repaired."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.errors import Corrupt, Unavailable
from searchsvc.embedding.embedder import Embedder
from searchsvc.embedding.export import exported, read_manifest
from searchsvc.embedding.model import find_model
from tests.unit.embedding.texts import MODEL, TEXTS


def test_the_int8_model_stays_close_to_the_original(model_export: Path, sentence_transformer: Any) -> None:
    vectors = Embedder(model_export).encode_documents(TEXTS)
    cosines = (vectors * sentence_transformer.encode(list(TEXTS))).sum(axis=1)
    assert cosines.min() > 0.97
    assert cosines.mean() > 0.98


def test_an_export_with_a_flipped_bit_is_found_and_made_again_once(model_export: Path, tmp_path: Path) -> None:
    folder = tmp_path / model_export.name
    shutil.copytree(model_export, folder)
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(data)
    with pytest.raises(Corrupt, match="not what was exported"):
        read_manifest(folder)
    with ThreadPoolExecutor() as pool:
        folders = set(pool.map(lambda _: exported(find_model(MODEL), tmp_path), range(3)))
    assert folders == {folder}
    assert read_manifest(folder) == read_manifest(model_export)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folder.name, "lock"])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "exports"):
        with pytest.raises(Unavailable, match=f"{MODEL} cannot be exported to {folder}: "):
            exported(find_model(MODEL), folder)


def test_an_export_of_another_format_is_refused(model_export: Path, tmp_path: Path) -> None:
    manifest = read_manifest(model_export)
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, format=1, files={})))
    with pytest.raises(Corrupt, match="has format 1, not"):
        read_manifest(tmp_path)
    with pytest.raises(Corrupt, match="not readable"):
        read_manifest(tmp_path / "nowhere")
