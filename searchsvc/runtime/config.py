"""The configuration of a service, and its limits. `config_sources` loads it."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final

import msgspec

from events.errors import require
from events.settings import INDEX_NAME

HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+/?")
DEFAULT_MODEL: Final = "all-MiniLM-L6-v2"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


class NatsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The log's server.

    url: a NATS server or cluster to use; '' starts our own.
    user: for a server of yours.
    password: for a server of yours.
    port: of our own server; -1 takes a free one.
    ingest_password: of the ingest account on our own server; '' draws one.
    replicas: of each stream on a server of yours; 0 takes 3 in a cluster, else 1.
    """

    url: str = ""
    user: str = ""
    password: str = ""
    port: int = -1
    ingest_password: str = ""
    replicas: int = 0


class OpenSearchConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A cluster that stores the indexes.

    url: its hosts, separated by commas; '' stores the indexes in the data folder.
    ca_file: certificates to trust in addition to the system's.
    prefix: first part of the names of our indexes there.
    shards: number of shards of new indexes.
    replicas: number of replicas of new indexes.
    timeout_ms: of a search; after it the answer is 503.
    connections: requests at once.
    last_known: answers to keep, and to serve again while the cluster is away.
    """

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
        """The addresses in `url`."""
        return _parts(self.url)


class EmbeddingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The embedding model.

    model: the packaged model, a folder, or owner/name of a hub.
    export_dir: folder of exported models, which services may share; '' is DATA/models.
    query_threads: cores that encode a query while no other work waits; otherwise one does.
    document_threads: cores that encode documents.
    query_cache: query vectors to keep.
    """

    model: str = DEFAULT_MODEL
    export_dir: str = ""
    query_threads: int = 2
    document_threads: int = 2
    query_cache: int = 10_000


class SearchConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Searches.

    candidates: of each leg.
    vector_deadline_ms: after it the answer is sent without the vector leg.
    concurrency: searches at once.
    max_waiting: searches that may wait; more are answered 503.
    """

    candidates: int = 100
    vector_deadline_ms: float = 100.0
    concurrency: int = 2
    max_waiting: int = 256


class BehaviorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rankings and interactions.

    known_rankings: rankings to keep, to check interactions against.
    stored_events: ids to keep, to store each event once.
    outbox: rankings that may wait to be logged.
    max_events_per_s: over HTTP; more are answered 429.
    join_wait_s: how long an interaction waits for its ranking.
    """

    known_rankings: int = 100_000
    stored_events: int = 1_000_000
    outbox: int = 10_000
    max_events_per_s: float = 30_000.0
    join_wait_s: float = 60.0


class LearningConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Learning. How each index learns is a setting of that index, in the log.

    settle_s: how long a page stays open after it was shown. Later interactions count for its documents only.
    """

    settle_s: float = 30.0


class HttpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who may call the service over HTTP, and how much at once. Lists are separated by commas.

    allowed_hosts: names that it is called by; addresses and names without a dot always may be used.
    allowed_origins: sites whose pages may change something, such as https://shop.example; its own pages always may.
    trusted_proxies: addresses or networks of reverse proxies: X-Forwarded-For of theirs names the client.
    connections: at once; for one more, one that waits for its client is closed.
    connections_per_client: the same for one address; reverse proxies may have any number.
    body_mb: of requests that are not answered yet, together.
    """

    allowed_hosts: str = ""
    allowed_origins: str = ""
    trusted_proxies: str = ""
    connections: int = 4096
    connections_per_client: int = 512
    body_mb: int = 256

    @property
    def hosts(self) -> list[str]:
        """The names in `allowed_hosts`."""
        return _parts(self.allowed_hosts)

    @property
    def origins(self) -> list[str]:
        """The sites in `allowed_origins`."""
        return _parts(self.allowed_origins)

    @property
    def proxies(self) -> list[IPv4Network | IPv6Network]:
        """The networks in `trusted_proxies`. Raises ValueError if one is none."""
        return [ip_network(part) for part in _parts(self.trusted_proxies)]


class DiskConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The disk of the data folder.

    warn_share: used share from which health warns.
    stop_share: used share from which writes are answered 507.
    enough_mb: with this much free, neither share counts.
    """

    warn_share: float = 0.8
    stop_share: float = 0.9
    enough_mb: int = 2048


class MemoryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The memory of the service and its nats-server.

    limit_mb: what both may use together; 0 means what the machine has, or the container may use.
    warn_share: used share from which health warns.
    stop_share: used share from which documents are answered 507.
    """

    limit_mb: int = 0
    warn_share: float = 0.8
    stop_share: float = 0.9


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole configuration.

    worker: run the worker in this process.
    accept_clock: the clock is right, however long after the last start it is.
    """

    data_dir: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    worker: bool = True
    accept_clock: bool = False
    log_level: str = "info"
    nats: NatsConfig = NatsConfig()
    opensearch: OpenSearchConfig = OpenSearchConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    search: SearchConfig = SearchConfig()
    behavior: BehaviorConfig = BehaviorConfig()
    learning: LearningConfig = LearningConfig()
    disk: DiskConfig = DiskConfig()
    memory: MemoryConfig = MemoryConfig()
    http: HttpConfig = HttpConfig()

    @property
    def data_path(self) -> Path:
        """The data folder."""
        return Path(self.data_dir).expanduser()

    @property
    def export_path(self) -> Path:
        """The folder of exported models."""
        return Path(self.embedding.export_dir).expanduser() if self.embedding.export_dir else self.data_path / "models"


# Key -> (minimum, maximum).
LIMITS: Final[dict[str, tuple[float, float]]] = {
    "port": (0, 65535),
    "nats.port": (-1, 65535),
    "nats.replicas": (0, 5),
    "opensearch.shards": (1, 1024),
    "opensearch.replicas": (0, 10),
    "opensearch.timeout_ms": (1, 600_000),
    "opensearch.connections": (1, 256),
    "opensearch.last_known": (0, 1_000_000),
    "embedding.query_threads": (1, 64),
    "embedding.document_threads": (1, 64),
    "embedding.query_cache": (0, 10_000_000),
    "http.connections": (16, 1_000_000),
    "http.connections_per_client": (1, 1_000_000),
    "http.body_mb": (64, 1_000_000),
    "search.candidates": (1, 1000),
    "search.vector_deadline_ms": (0, 60_000),
    "search.concurrency": (1, 256),
    "search.max_waiting": (1, 100_000),
    "behavior.known_rankings": (1, 10_000_000),
    "behavior.stored_events": (1, 100_000_000),
    "behavior.outbox": (1, 10_000_000),
    "behavior.max_events_per_s": (1, 1e9),
    "disk.warn_share": (0, 1),
    "disk.stop_share": (0, 1),
    "disk.enough_mb": (0, 1e9),
    "memory.limit_mb": (0, 1e9),
    "memory.warn_share": (0, 1),
    "memory.stop_share": (0, 1),
    "learning.settle_s": (0, 3_600),
    "behavior.join_wait_s": (0, 86_400),
}


def check_config(config: Config) -> None:
    """Raise InvalidInput naming the first key that is out of its limits."""
    for key, (minimum, maximum) in LIMITS.items():
        section, _, name = key.rpartition(".")
        value = getattr(getattr(config, section) if section else config, name)
        require(minimum <= value <= maximum, key, value, f"{minimum:g} to {maximum:g}")
    for host in config.opensearch.hosts:
        is_address = host.startswith(("http://", "https://"))
        limit = "http:// or https:// addresses, separated by commas"
        require(is_address, "opensearch.url", config.opensearch.url, limit)
    for host in config.http.hosts:
        is_name = HOST_NAME.fullmatch(host) is not None
        require(is_name, "http.allowed_hosts", config.http.allowed_hosts, "names without a port, separated by commas")
    for origin in config.http.origins:
        limit = "http:// or https:// with a host and no path, separated by commas"
        require(ORIGIN.fullmatch(origin) is not None, "http.allowed_origins", config.http.allowed_origins, limit)
    try:
        _ = config.http.proxies
    except ValueError:
        limit = "addresses such as 10.0.0.1 or networks such as 10.0.0.0/8, separated by commas"
        require(False, "http.trusted_proxies", config.http.trusted_proxies, limit)
    prefix = config.opensearch.prefix
    require(INDEX_NAME.fullmatch(prefix) is not None, "opensearch.prefix", prefix, INDEX_NAME.pattern)
    require(config.log_level in LOG_LEVELS, "log_level", config.log_level, " or ".join(LOG_LEVELS))


def _parts(text: str) -> list[str]:
    """Return the parts of a text that commas separate."""
    return [part.strip() for part in text.split(",") if part.strip()]
