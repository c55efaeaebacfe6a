"""Layers of the configuration: defaults < file < environment < flags; errors name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.errors import InvalidInput
from searchsvc.runtime.config import LIMITS, Config, EmbeddingConfig
from searchsvc.runtime.config_sources import SECRETS, describe, keys, load_config, variable


def test_later_layers_replace_earlier_ones_and_origins_name_them(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('port = 1\nhost = "a"\n[search]\ncandidates = 7\n[nats]\nport = 5\n')
    environment = {"SEARCHSVC_HOST": "b", "SEARCHSVC_SEARCH_CANDIDATES": "8", "HOME": "/h"}
    loaded = load_config(file, {"search.candidates": 9, "port": None}, environment)
    config = loaded.config
    assert (config.port, config.host, config.search.candidates, config.nats.port) == (1, "b", 9, 5)
    assert loaded.origins["port"] == str(file)
    assert loaded.origins["host"] == "SEARCHSVC_HOST"
    assert loaded.origins["search.candidates"] == "flag"
    assert loaded.origins["worker"] == "default"
    assert config.data_dir == "/h/.local/state/searchsvc"


def test_a_secret_can_be_in_a_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    loaded = load_config(None, None, {"SEARCHSVC_NATS_PASSWORD_FILE": str(tmp_path / "secret")})
    assert loaded.config.nats.password == "hunter2"
    assert "hunter2" not in str(describe(loaded))
    assert set(keys()) >= SECRETS


def test_every_key_can_be_set_by_its_environment_variable() -> None:
    assert len({variable(key) for key in keys()}) == len(keys())
    loaded = load_config(None, None, {"SEARCHSVC_WORKER": "false", "SEARCHSVC_BEHAVIOR_JOIN_WAIT_S": "1.5"})
    assert loaded.config.worker is False
    assert loaded.config.behavior.join_wait_s == 1.5


@pytest.mark.parametrize(
    ("environment", "flags", "message"),
    [
        ({"SEARCHSVC_PORT": "many"}, {}, "port"),
        ({"SEARCHSVC_PORT": "70000"}, {}, "0 to 65535"),
        ({"SEARCHSVC_SEARCH_CANDIDATES": "0"}, {}, "search.candidates"),
        ({"SEARCHSVC_LOG_LEVEL": "loud"}, {}, "debug or info"),
        ({"SEARCHSVC_NATS_PASSWORD_FILE": "/no/such"}, {}, "nats.password"),
        ({"SEARCHSVC_CONFIG": "/no/such.toml"}, {}, "/no/such.toml"),
        ({}, {"colour": "red"}, "colour"),
    ],
)
def test_an_error_names_what_is_wrong(environment: dict[str, str], flags: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_config(None, flags, environment)


@pytest.mark.parametrize("text", ["port = ", "[nats]\nurll = 'x'\n", "prt = 1\n"])
def test_a_file_with_a_mistake_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(InvalidInput):
        load_config(file, None, {})


def test_every_limit_is_of_a_key_and_holds_for_its_default() -> None:
    assert set(LIMITS) <= set(keys())
    values = {setting.key: setting.value for setting in describe(load_config(None, None, {}))}
    for key, (minimum, maximum) in LIMITS.items():
        value = values[key]
        assert isinstance(value, int | float)
        assert minimum <= value <= maximum


def test_exported_models_are_in_the_data_folder_if_no_other_is_named() -> None:
    assert Config(data_dir="/d").export_path == Path("/d/models")
    assert Config(data_dir="/d", embedding=EmbeddingConfig(export_dir="~/m")).export_path == Path.home() / "m"
