"""Which model a name in the configuration means."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from events.errors import InvalidInput
from searchsvc.embedding.model import DEFAULT_MODEL_SHA256, find_model
from tests.unit.embedding.texts import MODEL


@pytest.mark.parametrize("name", ["", "no-such-model", "/no/such/folder"])
def test_an_unknown_model_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        find_model(name or "./nothing")
    assert refused.value.field == "embedding.model"


def test_a_model_is_the_packaged_one_a_folder_or_a_name_on_a_hub(tmp_path: Path) -> None:
    packaged = find_model(MODEL)
    assert (packaged.digest, packaged.folder is not None) == (DEFAULT_MODEL_SHA256, True)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    own = find_model(str(tmp_path))
    assert (own.folder, own.digest) == (tmp_path, hashlib.sha256(b"weights").hexdigest())
    on_hub = find_model("owner/name")
    assert (on_hub.folder, on_hub.digest) == (None, hashlib.sha256(b"owner/name").hexdigest())


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"has no model\.safetensors"):
        find_model(str(tmp_path))
