"""What is done to a service under attack."""

from __future__ import annotations

import glob
import os
import random
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import psutil

from benchmarks.worst_requests import worst_requests
from events.errors import Unavailable
from searchsvc.app.clock_guard import MAX_AHEAD
from tests.attack.arena import Arena

N_SLOW_CONNECTIONS: Final = 300
LEFT_ON_DISK: Final = 15_000_000


def kill_service(arena: Arena) -> None:
    arena.restart(kill=True)


def stop_service(arena: Arena) -> None:
    arena.restart(kill=False)


def kill_a_start(arena: Arena) -> None:
    """Kill the service, and the next one while it starts."""
    arena.end(kill=True)
    with suppress(Unavailable):
        starting = type(arena.service)(arena.data_dir, arena.port, ready_timeout_s=0)
        time.sleep(arena.rng.random() * 2)
        starting.kill()
    arena.start()


def lose_saved_indexes(arena: Arena) -> None:
    """Lose the files of indexes between two runs."""

    def lose() -> None:
        for folder in glob.glob(str(arena.data_dir / "indexes" / "*")):
            if arena.rng.random() < 0.5:
                shutil.rmtree(folder)

    arena.restart(kill=arena.rng.random() < 0.5, between=lose)


def kill_child(arena: Arena) -> None:
    for _ in range(arena.rng.randrange(1, 4)):
        with suppress(ProcessLookupError):
            arena.signal_child(signal.SIGKILL)
        time.sleep(arena.rng.random())


def hang_child(arena: Arena) -> None:
    with suppress(ProcessLookupError):
        arena.signal_child(signal.SIGSTOP)


def hang_service(arena: Arena) -> None:
    os.kill(arena.service.process.pid, signal.SIGSTOP)
    time.sleep(1 + arena.rng.random() * 7)
    os.kill(arena.service.process.pid, signal.SIGCONT)


def orphan_a_hanging_child(arena: Arena) -> None:
    """Kill the service while its nats-server hangs, which therefore cannot end by itself."""
    hang_child(arena)
    time.sleep(arena.rng.random())
    kill_service(arena)


def fill_the_disk(arena: Arena) -> None:
    """Leave almost nothing on the service's disk, for some seconds. Only if that is a disk of its own."""
    if not arena.folder.is_mount():
        return
    ballast = arena.folder / "ballast"
    with ballast.open("wb") as file:
        free = shutil.disk_usage(arena.folder).free
        with suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(1, free - LEFT_ON_DISK))
    time.sleep(2 + arena.rng.random() * 6)
    if arena.rng.random() < 0.3:
        arena.end(kill=True)
        ballast.unlink()
        arena.start()
    ballast.unlink(missing_ok=True)


def set_the_clock(arena: Arena) -> None:
    """Start with a clock that is a year ahead, which has to be refused, then with the right one."""
    library = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)
    if library is None:
        return
    # Only the calendar is moved: with its monotonic clock moved too, asyncio would wait for ever.
    clock = {"LD_PRELOAD": library, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME": f"+{MAX_AHEAD.days + 370}d"}
    child = arena.child()
    arena.end(kill=arena.rng.random() < 0.5)
    if child is not None:
        # A start would wait for its end with time.sleep, which fails under faketime. It may hang.
        with suppress(psutil.NoSuchProcess):
            child.kill()
        psutil.wait_procs([child])
    try:
        wrong = type(arena.service)(arena.data_dir, arena.port, clock)
    except Unavailable:
        pass
    else:
        wrong.stop()
        arena.violated("a service started with a clock that is a year ahead")
    arena.start()


def send_worst_requests(arena: Arena) -> None:
    """Send the most expensive requests that are allowed, from two clients, for three seconds."""
    until = time.monotonic() + 3

    def send(rng: random.Random) -> None:
        while time.monotonic() < until:
            worst = rng.choice(worst_requests(rng))
            status, answer = arena.call(worst.method, worst.path, worst.body)
            if status >= 500 and status not in (503, 507):
                arena.violated(f"{worst.name} was answered {status}: {answer}")

    # Each has numbers of its own, so that the same seed makes the same attacks.
    rngs = [random.Random(arena.rng.random()) for _ in range(2)]
    senders = [threading.Thread(target=send, args=(rng,)) for rng in rngs]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()


def hold_connections(arena: Arena) -> None:
    """Open connections that send nothing, or half a request."""
    held = []
    for n in range(N_SLOW_CONNECTIONS):
        with suppress(OSError):
            connection = socket.create_connection(("127.0.0.1", arena.port), timeout=5)
            held.append(connection)
            if n % 2:
                connection.sendall(b"POST /v1/indexes/probe/search HTTP/1.1\r\nHost: x\r\nContent-Le")
    time.sleep(3)
    for connection in held:
        connection.close()


def rebuild(arena: Arena) -> None:
    for index in ("one", "two"):
        arena.call("POST", f"/v1/indexes/{index}/reindex", {})


def nothing(arena: Arena) -> None:
    time.sleep(arena.rng.random() * 5)


ATTACKS: Final[tuple[Callable[[Arena], None], ...]] = (
    kill_service,
    stop_service,
    kill_a_start,
    lose_saved_indexes,
    kill_child,
    hang_child,
    hang_service,
    orphan_a_hanging_child,
    fill_the_disk,
    set_the_clock,
    send_worst_requests,
    hold_connections,
    rebuild,
    nothing,
)
