"""Fixtures: real servers, started once, each in a folder of its own on a port of its own."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from benchmarks.model import EXPORT_DIR
from events import server
from events.jetstream.event_log import connect
from events.log import EventLog
from events.memory import MemoryEventLog
from events.streams import STREAMS, StreamName, StreamSpec
from searchsvc.cli.data import import_documents
from searchsvc.cli.sample import sample_catalogue
from searchsvc.embedding.export import exported
from searchsvc.embedding.model import find_model
from searchsvc.engines.opensearch.node import Node
from searchsvc.runtime.config import DEFAULT_MODEL
from tests.factories import SMALL
from tests.opensearch import OpenSearchNode
from tests.opensearch import missing as why_no_opensearch
from tests.running import RunningService

# No example has a deadline: the machine may be doing something else.
settings.register_profile("searchsvc", deadline=None)
settings.load_profile("searchsvc")

# Parts whose tests must not be skipped (browser, torch). CI sets this, so that a missing part fails there.
REQUIRED = set(os.environ.get("SEARCHSVC_TEST_REQUIRE", "").split(",")) - {""}
N_SAMPLE = 300
# Modules that share what takes long to start, by what they share: one worker runs them all.
SHARING = {
    "the OpenSearch node": (
        "tests/contract/test_engine.py",
        "tests/integration/test_opensearch.py",
        "tests/integration/test_opensearch_faults.py",
        "tests/property/test_facet_laws.py",
    ),
    "the service": (
        "tests/e2e/test_storefront.py",
        "tests/integration/test_events.py",
        "tests/integration/test_judge.py",
        "tests/integration/test_process.py",
        "tests/integration/test_search_features.py",
        "tests/integration/test_service.py",
    ),
    "torch": (
        "tests/unit/embedding/test_bert.py",
        "tests/unit/embedding/test_embedder.py",
        "tests/unit/embedding/test_export.py",
        "tests/unit/embedding/test_tracing.py",
    ),
}
SCOPES = {module: shared for shared, modules in SHARING.items() for module in modules}
# Short, so that a test of redelivery need not wait for half a minute.
REDELIVER_AFTER_S = 1.0


class ModuleScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no type information
    """Gives the tests of a module, and of modules that share something, to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.split("::", 1)[0]
        return SCOPES.get(module, module)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ModuleScheduling:
    return ModuleScheduling(config, log)


def need(part: str, present: bool, reason: str) -> None:
    """Skip with a plain reason where a part is missing, or fail where it is required."""
    if not present:
        if part in REQUIRED:
            pytest.fail(f"{part} is required here: {reason}")
        pytest.skip(reason)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def torch() -> None:
    present = find_spec("torch") is not None and find_spec("sentence_transformers") is not None
    need("torch", present, "torch and sentence-transformers are not installed (requirements/torch.lock)")


@pytest.fixture(scope="session")
def chromium() -> str:
    path = which("chromium")
    need("browser", path is not None, "no chromium on the PATH (Debian: apt-get install chromium)")
    return str(path)


@pytest.fixture(scope="session", autouse=True)
def export_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of exported models, which all services and workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    # A worker of xdist has a folder of its own within that of the run.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "models"
    os.environ[EXPORT_DIR] = str(folder)
    return folder


@pytest.fixture(scope="session")
def model_export(export_dir: Path) -> Path:
    """The packaged model, exported once for all tests."""
    return exported(find_model(DEFAULT_MODEL), export_dir)


@pytest.fixture(scope="session")
def opensearch() -> Iterator[OpenSearchNode]:
    """A real node; tests must leave it running."""
    missing = why_no_opensearch()
    need("opensearch", not missing, missing)
    running = OpenSearchNode()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def node(opensearch: OpenSearchNode) -> Iterator[Node]:
    """A client of it."""
    client = Node([opensearch.url], timeout_s=120.0)
    yield client
    client.close()


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[server.NatsServer]:
    running = server.start(tmp_path / "store")
    yield running
    running.stop()


@pytest.fixture(params=["memory", "jetstream"])
async def event_log(request: pytest.FixtureRequest) -> AsyncIterator[EventLog]:
    """Every adapter of the log, empty."""
    async for opened in _open_log(request, STREAMS):
        yield opened


@pytest.fixture(params=["memory", "jetstream"])
async def small_log(request: pytest.FixtureRequest) -> AsyncIterator[EventLog]:
    """Every adapter of the log, empty, with `SMALL` streams."""
    async for opened in _open_log(request, SMALL):
        yield opened


async def _open_log(
    request: pytest.FixtureRequest, specs: Mapping[StreamName, StreamSpec]
) -> AsyncGenerator[EventLog, None]:
    if request.param == "memory":
        yield MemoryEventLog(specs=specs)
        return
    running: server.NatsServer = request.getfixturevalue("nats_server")
    account = running.address.accounts["service"]
    connected = await connect(
        running.address.url,
        user=account.user,
        password=account.password,
        redeliver_after_s=REDELIVER_AFTER_S,
        specs=specs,
    )
    await connected.ensure_streams()
    yield connected
    await connected.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A running service with the sample catalogue in index `shop`."""
    running = RunningService(tmp_path_factory.mktemp("service") / "data")
    import_documents(running.url, "shop", sample_catalogue(N_SAMPLE))
    yield running
    running.stop()


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., RunningService]]:
    """Starts services that belong to one test: start_service(folder name, port)."""
    started: list[RunningService] = []

    def start(name: str = "data", port: int = 0, **environment: str) -> RunningService:
        started.append(RunningService(tmp_path / name, port, environment))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.stop()
