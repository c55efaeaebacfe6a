"""Load a configuration: defaults < TOML file < environment < flags, each value with its origin.

A key `nats.url` is `url` under `[nats]` in the file and `SEARCHSVC_NATS_URL` in the environment. `SEARCHSVC_..._FILE`
gives the path of a file that holds the value, which is meant for secrets.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from events.errors import InvalidInput
from searchsvc.runtime.config import Config, check_config

ENVIRONMENT_PREFIX: Final = "SEARCHSVC_"
SECRETS: Final = frozenset({"nats.password", "nats.ingest_password", "opensearch.password"})


class LoadedConfig(msgspec.Struct, frozen=True):
    """A configuration and where it comes from.

    origins: for each key `default`, the path of the file, the name of the variable, or `flag`.
    """

    config: Config
    origins: dict[str, str]


class Setting(msgspec.Struct, frozen=True):
    """One key as it is shown.

    value: `***` for a secret.
    """

    key: str
    value: object
    origin: str


class _Layers:
    """Values by key, where a later layer replaces those of an earlier one."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins = dict.fromkeys(keys(), "default")

    def put(self, key: str, value: object, origin: str) -> None:
        """Set a value. Raises InvalidInput if there is no such key."""
        if key not in self.origins:
            raise InvalidInput(
                f"{origin} sets {key}, which is no configuration key", field=key, limit=", ".join(keys())
            )
        self.values[key] = value
        self.origins[key] = origin

    def put_environment(self, environment: Mapping[str, str]) -> None:
        """Add the variables. Raises InvalidInput if a file that one names cannot be read."""
        for key in keys():
            name = variable(key)
            if f"{name}_FILE" in environment:
                text = _read_value(key, Path(environment[f"{name}_FILE"]))
                self.put(key, text, f"{name}_FILE")
            if name in environment:
                self.put(key, environment[name], name)


def load_config(
    file: Path | None = None,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> LoadedConfig:
    """Put the layers together and check the result.

    file: the TOML file; None for the one that SEARCHSVC_CONFIG names, if any.
    flags: key -> value; None for a flag that was not used.
    Raises InvalidInput naming key, value and limit.
    """
    layers = _Layers()
    if file is None and environment.get(ENVIRONMENT_PREFIX + "CONFIG"):
        file = Path(environment[ENVIRONMENT_PREFIX + "CONFIG"])
    if file is not None:
        for key, value in _flatten(_read_toml(file)):
            layers.put(key, value, str(file))
    layers.put_environment(environment)
    for key, value in (flags or {}).items():
        if value is not None:
            layers.put(key, value, "flag")
    if not layers.values.get("data_dir"):
        layers.values["data_dir"] = str(_default_data_dir(environment))
    config = _convert(layers)
    check_config(config)
    return LoadedConfig(config, layers.origins)


def keys() -> list[str]:
    """Return all configuration keys, dotted, in order."""
    return [key for key, _ in _flatten(msgspec.to_builtins(Config()))]


def variable(key: str) -> str:
    """Return the environment variable of a key."""
    return ENVIRONMENT_PREFIX + key.replace(".", "_").upper()


def describe(loaded: LoadedConfig) -> list[Setting]:
    """Return every key with its value and origin. Secrets are hidden."""
    values = _flatten(msgspec.to_builtins(loaded.config))
    return [Setting(key, "***" if key in SECRETS and value else value, loaded.origins[key]) for key, value in values]


def _convert(layers: _Layers) -> Config:
    """Raises InvalidInput naming the key whose value has a wrong type."""
    try:
        # strict=False reads numbers and booleans from text, as the environment gives them.
        return msgspec.convert(_nest(layers.values), Config, strict=False)
    except msgspec.ValidationError as error:
        key = str(error).rpartition("`$.")[2].rstrip("`") if "`$." in str(error) else ""
        value = layers.values.get(key)
        message = f"configuration {key} ({layers.origins.get(key, '')}) is {value!r}: {error}"
        raise InvalidInput(message, field=key, value=value) from error


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise InvalidInput(f"configuration file {file}: {error.strerror}", field="config", value=str(file)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"configuration file {file} is not TOML: {error}", field="config", value=str(file)
        ) from error


def _read_value(key: str, file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the file for {key} cannot be read: {error}", field=key, value=str(file)) from error


def _default_data_dir(environment: Mapping[str, str]) -> Path:
    state = environment.get("XDG_STATE_HOME") or str(
        Path(environment.get("HOME", "~")).expanduser() / ".local" / "state"
    )
    return Path(state) / "searchsvc"


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value with its dotted key."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections that dotted keys stand for."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *path, name = key.split(".")
        section = nested
        for part in path:
            section = section.setdefault(part, {})
        section[name] = value
    return nested
