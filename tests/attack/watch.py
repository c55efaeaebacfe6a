"""Watch a service under attack: what stands still, what health says meanwhile, how much memory it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

import psutil

from events.sizes import MIB
from tests.attack.arena import RETRIED, Arena, Fault
from tests.attack.clients import Client, Shopper

PROBE: Final = "probe"
# What waited is tried again after health says that it moves again.
RESUME_S: Final = 2.0
# A health check that answers later than this is no answer.
HEALTH_TIMEOUT_S: Final = 2.0


class Limits(NamedTuple):
    """What is asked of a service.

    named_s: health says within these seconds that something stands still
    over_s: everything moves again these seconds after an attack has ended
    memory_mib: of the service and its nats-server together
    """

    named_s: float
    over_s: float
    memory_mib: float


class Stall(NamedTuple):
    """Something that was requested and took long. From when to when: s of time.monotonic"""

    what: str
    started: float
    ended: float


class Probe(Client):
    """Does what a service promises, over and over. stalls: what took longer than `shortest_s`"""

    def __init__(self, arena: Arena, shortest_s: float) -> None:
        super().__init__(arena, "probe")
        self.shortest_s = shortest_s
        self.stalls: list[Stall] = []
        self.n = 0
        self.longest: dict[str, float] = {}

    def once(self) -> None:
        self.n += 1
        started = time.monotonic()
        self.arena.insist("POST", f"/v1/indexes/{PROBE}/documents", {"id": "probe", "title": "probe", "n": self.n})
        stored = self._moved("a document is stored", started)
        search = {"query": "", "filters": f"n={self.n}", "internal": True}
        while not self._finds(search):
            time.sleep(0.05)
        searchable = self._moved("a document is searchable", stored)
        self.arena.insist(
            "PUT", f"/v1/indexes/{PROBE}/weights", {"weights": {"cosine": self.n % 7}, "reason": f"probe {self.n}"}
        )
        self._moved("a change is made", searchable)
        time.sleep(0.3)

    def _finds(self, search: dict[str, Any]) -> bool:
        status, answer = self.arena.call("POST", f"/v1/indexes/{PROBE}/search", search)
        return status == 200 and answer["total"] == 1

    def _moved(self, what: str, started: float) -> float:
        ended = time.monotonic()
        self.longest[what] = max(self.longest.get(what, 0.0), ended - started)
        if ended - started > self.shortest_s:
            self.stalls.append(Stall(what, started, ended))
        return ended


class HealthSample(NamedTuple):
    asked: float
    answered: float
    status: str
    reasons: list[str]


class Watch(Client):
    """Asks for the health several times a second. samples: what it said. memory_mib: the most that was in use"""

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena, "watch")
        self.samples: list[HealthSample] = []
        self.memory_mib = 0.0

    def once(self) -> None:
        asked = time.monotonic()
        status, health = self.arena.call("GET", "/health/ready", timeout_s=HEALTH_TIMEOUT_S)
        said = (health["status"], health["reasons"]) if status else ("no answer", [])
        self.samples.append(HealthSample(asked, time.monotonic(), *said))
        with suppress(psutil.Error):
            service = psutil.Process(self.arena.service.process.pid)
            in_use = sum(process.memory_info().rss for process in (service, *service.children()))
            self.memory_mib = max(self.memory_mib, in_use / MIB)
        time.sleep(0.2)


def ready_samples(samples: list[HealthSample], faults: list[Fault]) -> Iterator[HealthSample]:
    """Yield each sample that said ready, but for those just before an attack that came too early.

    That is within `RESUME_S` after health became ready, before what had waited was tried again.
    """
    ready_since: float | None = None
    for sample in samples:
        if sample.status != "ready":
            ready_since = None
            continue
        ready_since = sample.asked if ready_since is None else ready_since
        is_too_early = any(ready_since < fault.started < ready_since + RESUME_S for fault in faults)
        if not is_too_early or sample.answered > ready_since + RESUME_S:
            yield sample


def judge(arena: Arena, limits: Limits, probe: Probe, watch: Watch, shoppers: list[Shopper]) -> None:
    """Note each promise about time and memory that was broken."""
    for stall in probe.stalls:
        before = [fault for fault in arena.faults if fault.started < stall.ended]
        over = max([stall.started, *(fault.ended for fault in before)])
        description = (
            f"{stall.what}: {stall.ended - stall.started:.1f} s, during {[fault.name for fault in before][-3:]}"
        )
        if stall.ended - over > limits.over_s:
            arena.violated(f"{description}, {stall.ended - over:.1f} s of it after the end of the attack")
        wrong = [
            sample
            for sample in ready_samples(watch.samples, arena.faults)
            if stall.started + limits.named_s < sample.asked and sample.answered < stall.ended - RESUME_S
        ]
        if wrong:
            arena.violated(f"{description}; health said ready {len(wrong)} times {limits.named_s:g} s after it began")
    if watch.memory_mib > limits.memory_mib:
        arena.violated(f"memory: {watch.memory_mib:.0f} MiB of {limits.memory_mib:.0f}")
    for sent, status, answer in (unanswered for shopper in shoppers for unanswered in shopper.unanswered):
        excused = any(fault.started - limits.named_s < sent < fault.ended + limits.over_s for fault in arena.faults)
        if not excused or status not in RETRIED:
            arena.violated(f"a search was answered {status} at {sent - arena.started:.1f} s: {answer}")
