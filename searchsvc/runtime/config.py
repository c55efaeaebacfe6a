"""The configuration of a service: defaults < TOML file < environment < flags, each value with its origin.

A key `nats.url` is `url` under `[nats]` in the file and `SEARCHSVC_NATS_URL` in the environment; any of these may be
given as `SEARCHSVC_..._FILE`, the path of a file that holds the value, which is meant for secrets.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from events.errors import InvalidInput, require
from events.settings import INDEX_NAME

ENVIRONMENT_PREFIX: Final = "SEARCHSVC_"
DEFAULT_MODEL: Final = "all-MiniLM-L6-v2"
SECRETS: Final = frozenset({"nats.password", "nats.ingest_password", "opensearch.password"})


class NatsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """url: a NATS server or cluster to use; empty starts one of our own. port, ingest_password: of our own; -1 and
    empty choose freely. replicas: of each stream on a server of yours; 0 asks the server (3 in a cluster, else 1)."""

    url: str = ""
    user: str = ""
    password: str = ""
    port: int = -1
    ingest_password: str = ""
    replicas: int = 0


class OpenSearchConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """url: of a cluster that keeps the indexes, several hosts with commas between; empty keeps them in the data folder.
    ca_file: certificates to trust beside the system's. prefix: what our indexes there begin with. shards, replicas: of
    indexes that are made. timeout_ms: past it a search is answered 503. connections: requests at once. last_known: so
    many answers are remembered, to be shown again while the cluster is away."""

    url: str = ""
    user: str = ""
    password: str = ""
    ca_file: str = ""
    prefix: str = "searchsvc"
    shards: int = 1
    replicas: int = 0
    timeout_ms: float = 2000.0
    connections: int = 16
    last_known: int = 1000

    @property
    def hosts(self) -> list[str]:
        return [host for host in self.url.split(",") if host]


class EmbeddingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """model: the packaged one, a folder, or owner/name of a hub. query_threads: cores that encode a query while
    nothing else is to be done; one does otherwise. query_cache: how many query vectors are remembered."""

    model: str = DEFAULT_MODEL
    query_threads: int = 2
    document_threads: int = 2
    query_cache: int = 10_000


class SearchConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """candidates: from each leg. vector_deadline_ms: past it an answer goes out without the vector leg.
    concurrency: searches at once; max_waiting: how many may queue for that before 503."""

    candidates: int = 100
    vector_deadline_ms: float = 100.0
    concurrency: int = 2
    max_waiting: int = 256


class BehaviorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """known_rankings: remembered to check clicks against. stored_events: ids remembered, to store each event once.
    outbox: rankings that may wait to be logged. max_events_per_s: over HTTP; more are answered 429.
    join_wait_s: how long an interaction waits for a ranking that is not known."""

    known_rankings: int = 100_000
    stored_events: int = 1_000_000
    outbox: int = 10_000
    max_events_per_s: float = 30_000.0
    join_wait_s: float = 60.0


class LearningConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """settle_s: how long after it was shown a page is still open: what shoppers do with it later counts for its
    documents alone. How each index learns is a setting of that index, in the log."""

    settle_s: float = 30.0


class DiskConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Shares of the data folder's disk: from warn_share on health says so, at stop_share writes answer 507. Neither
    counts while enough_mb are free."""

    warn_share: float = 0.8
    stop_share: float = 0.9
    enough_mb: int = 2048


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    data_dir: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    worker: bool = True
    log_level: str = "info"
    nats: NatsConfig = NatsConfig()
    opensearch: OpenSearchConfig = OpenSearchConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    search: SearchConfig = SearchConfig()
    behavior: BehaviorConfig = BehaviorConfig()
    learning: LearningConfig = LearningConfig()
    disk: DiskConfig = DiskConfig()

    @property
    def data_path(self) -> Path:
        return Path(self.data_dir).expanduser()


class LoadedConfig(msgspec.Struct, frozen=True):
    """origins: for each key where its value came from: `default`, the file's path, the variable's name, or `flag`."""

    config: Config
    origins: dict[str, str]


def load_config(
    file: Path | None = None,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> LoadedConfig:
    """Put the layers together. flags: key -> value, None where a flag was not given.

    Raises InvalidInput naming key, value and what would be accepted.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(keys(), "default")
    if file is None and environment.get(ENVIRONMENT_PREFIX + "CONFIG"):
        file = Path(environment[ENVIRONMENT_PREFIX + "CONFIG"])
    if file is not None:
        for key, value in _flattened(_read_toml(file)):
            _put(values, origins, key, value, str(file))
    for key in keys():
        name = variable(key)
        if f"{name}_FILE" in environment:
            text = _read_secret(key, Path(environment[f"{name}_FILE"]))
            _put(values, origins, key, text, f"{name}_FILE")
        if name in environment:
            _put(values, origins, key, environment[name], name)
    for key, value in (flags or {}).items():
        if value is not None:
            _put(values, origins, key, value, "flag")
    if not values.get("data_dir"):
        values["data_dir"] = str(_default_data_dir(environment))
    try:
        # strict=False reads the numbers and booleans that the environment can only spell as text.
        config = msgspec.convert(_nested(values), Config, strict=False)
    except msgspec.ValidationError as error:
        key = str(error).rpartition("`$.")[2].rstrip("`") if "`$." in str(error) else ""
        value = values.get(key)
        raise InvalidInput(
            f"configuration {key} ({origins.get(key, '')}) is {value!r}: {error}", field=key, value=value
        ) from error
    _check(config)
    return LoadedConfig(config, origins)


def keys() -> list[str]:
    """All configuration keys, dotted, in order."""
    return [key for key, _ in _flattened(msgspec.to_builtins(Config()))]


def variable(key: str) -> str:
    """The environment variable of a key."""
    return ENVIRONMENT_PREFIX + key.replace(".", "_").upper()


def shown(loaded: LoadedConfig) -> list[tuple[str, object, str]]:
    """(key, value, origin) of everything, secrets hidden."""
    values = dict(_flattened(msgspec.to_builtins(loaded.config)))
    return [(k, "***" if k in SECRETS and v else v, loaded.origins[k]) for k, v in values.items()]


def _check(config: Config) -> None:
    limits: list[tuple[str, float, float, float]] = [
        ("port", config.port, 0, 65535),
        ("nats.port", config.nats.port, -1, 65535),
        ("nats.replicas", config.nats.replicas, 0, 5),
        ("opensearch.shards", config.opensearch.shards, 1, 1024),
        ("opensearch.replicas", config.opensearch.replicas, 0, 10),
        ("opensearch.timeout_ms", config.opensearch.timeout_ms, 1, 600_000),
        ("opensearch.connections", config.opensearch.connections, 1, 256),
        ("opensearch.last_known", config.opensearch.last_known, 0, 1_000_000),
        ("embedding.query_threads", config.embedding.query_threads, 1, 64),
        ("embedding.document_threads", config.embedding.document_threads, 1, 64),
        ("embedding.query_cache", config.embedding.query_cache, 0, 10_000_000),
        ("search.candidates", config.search.candidates, 1, 1000),
        ("search.vector_deadline_ms", config.search.vector_deadline_ms, 0, 60_000),
        ("search.concurrency", config.search.concurrency, 1, 256),
        ("search.max_waiting", config.search.max_waiting, 1, 100_000),
        ("behavior.known_rankings", config.behavior.known_rankings, 1, 10_000_000),
        ("behavior.stored_events", config.behavior.stored_events, 1, 100_000_000),
        ("behavior.outbox", config.behavior.outbox, 1, 10_000_000),
        ("behavior.max_events_per_s", config.behavior.max_events_per_s, 1, 1e9),
        ("disk.warn_share", config.disk.warn_share, 0, 1),
        ("disk.stop_share", config.disk.stop_share, 0, 1),
        ("disk.enough_mb", config.disk.enough_mb, 0, 1e9),
        ("learning.settle_s", config.learning.settle_s, 0, 3_600),
        ("behavior.join_wait_s", config.behavior.join_wait_s, 0, 86_400),
    ]
    for key, value, low, high in limits:
        require(low <= value <= high, key, value, f"{low:g} to {high:g}")
    for host in config.opensearch.hosts:
        fits = host.startswith(("http://", "https://"))
        require(fits, "opensearch.url", config.opensearch.url, "http:// or https:// addresses, with commas between")
    prefix = config.opensearch.prefix
    require(INDEX_NAME.fullmatch(prefix) is not None, "opensearch.prefix", prefix, INDEX_NAME.pattern)
    levels = ("debug", "info", "warning", "error")
    require(config.log_level in levels, "log_level", config.log_level, " or ".join(levels))


def _put(values: dict[str, Any], origins: dict[str, str], key: str, value: object, origin: str) -> None:
    if key not in origins:
        raise InvalidInput(f"{origin} sets {key}, which is no configuration key", field=key, limit=", ".join(keys()))
    values[key] = value
    origins[key] = origin


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise InvalidInput(f"configuration file {file}: {error.strerror}", field="config", value=str(file)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"configuration file {file} is no TOML: {error}", field="config", value=str(file)) from error


def _read_secret(key: str, file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the file for {key} cannot be read: {error}", field=key, value=str(file)) from error


def _default_data_dir(environment: Mapping[str, str]) -> Path:
    state = environment.get("XDG_STATE_HOME") or str(
        Path(environment.get("HOME", "~")).expanduser() / ".local" / "state"
    )
    return Path(state) / "searchsvc"


def _flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *path, name = key.split(".")
        at = nested
        for part in path:
            at = at.setdefault(part, {})
        at[name] = value
    return nested
