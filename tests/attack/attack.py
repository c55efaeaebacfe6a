"""Attack a service for some time, then compare it with what its clients were told."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.running import event_log
from benchmarks.worst_requests import ARTICLES, TAGS, articles, tagged
from events.codec import decode_behavior
from events.errors import Unavailable
from events.types import InteractionRecorded
from searchsvc.cli.data import import_documents
from tests.attack.arena import Arena
from tests.attack.attacks import ATTACKS
from tests.attack.clients import Publisher, Shopper, Vandal, Writer
from tests.attack.watch import PROBE, Limits, Probe, Watch, judge
from tests.command_line import run

OWN_INDEXES: Final = ("one", "two")
PAGE: Final = 1000
# Time that clients have to get their last request accepted, and the service to have all of it in place.
SETTLE_S: Final = 180.0


class Outcome(msgspec.Struct, frozen=True):
    """What an attack of some seconds came to.

    attacks: how often each was made
    longest_s: the longest time that each thing took
    memory_mib: the most that the service and its nats-server had in use together
    violations: promises that were broken
    """

    seed: int
    seconds: float
    attacks: dict[str, int]
    acknowledged: dict[str, int]
    searches: dict[int, int]
    longest_s: dict[str, float]
    memory_mib: float
    violations: list[str]


def attack(folder: Path, seed: int, seconds: float, limits: Limits, say: Callable[[str], None]) -> Outcome:
    """Attack a service on an empty folder. say: is told of each attack"""
    rng = random.Random(seed)
    arena = Arena(folder, rng)
    try:
        return _Attack(arena, limits, say).run(seed, seconds)
    finally:
        if arena.service.process.poll() is None:
            arena.end(kill=False)


class _Attack:
    def __init__(self, arena: Arena, limits: Limits, say: Callable[[str], None]) -> None:
        self.arena = arena
        self.limits = limits
        self.say = say
        _prepare(arena)
        self.writers = [Writer(arena, index) for index in OWN_INDEXES]
        self.shoppers = [Shopper(arena, f"shopper-{i}", [PROBE, *OWN_INDEXES]) for i in range(2)]
        self.publisher = Publisher(arena, "publisher", PROBE)
        self.probe = Probe(arena, limits.named_s)
        self.watch = Watch(arena)
        self.clients = [*self.writers, *self.shoppers, self.publisher, self.probe, Vandal(arena, "vandal")]

    def run(self, seed: int, seconds: float) -> Outcome:
        made = Counter[str]()
        for client in (*self.clients, self.watch):
            client.start()
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until and not self.arena.violations:
                made[self._attack_once()] += 1
            self._compare()
        except Unavailable as error:
            self.arena.violated(f"the service does not start, or a request is not answered: {error}")
        judge(self.arena, self.limits, self.probe, self.watch, self.shoppers)
        return self._outcome(seed, seconds, made)

    def _attack_once(self) -> str:
        once = self.arena.rng.choice(ATTACKS)
        name = once.__name__.replace("_", " ")
        self.say(f"{time.monotonic() - self.arena.started:.0f} s: {name}")
        with self.arena.fault(name):
            once(self.arena)
        time.sleep(self.arena.rng.random() * 6)
        return name

    def _compare(self) -> None:
        """End the clients, and compare what the service has with what they were told."""
        self.arena.over.set()
        deadline = time.monotonic() + SETTLE_S
        for client in (*self.clients, self.watch):
            client.join(max(0.0, deadline - time.monotonic()))
            if client.is_alive():
                self.arena.violated(f"{client.name} still waits {SETTLE_S:g} s after the last attack")
                return
        for writer in self.writers:
            self._settled(writer, deadline)
            self._compare_documents(writer)
        self._compare_changes()
        self._compare_events(deadline)
        folder = ("--data-dir", str(self.arena.data_dir), "--url", self.arena.service.url)
        verified = run("events", "verify", *folder, "--json")
        if verified.status:
            self.arena.violated(f"events verify: {verified.output}")

    def _settled(self, writer: Writer, deadline: float) -> None:
        """Wait until an index has everything that was acknowledged."""
        while time.monotonic() < deadline:
            status, index = self.arena.call("GET", f"/v1/indexes/{writer.index}")
            if status == 200 and index["applied_catalog_seq"] >= writer.catalog_seq and index["state"] == "ready":
                return
            if status == 404 and not writer.documents:
                return
            time.sleep(0.1)
        self.arena.violated(f"index {writer.index} has not applied {writer.catalog_seq}: {index}")

    def _compare_documents(self, writer: Writer) -> None:
        path, found = f"/v1/indexes/{writer.index}/search", {}
        cursor: str | None = "*" if writer.documents else None
        while cursor:
            page = {"query": "", "cursor": cursor, "limit": PAGE, "internal": True}
            _, answer = self.arena.insist("POST", path, page)
            found.update({hit["id"]: hit["document"] for hit in answer["hits"]})
            cursor = answer["cursor"]
        for one_id in sorted(found.keys() | writer.documents.keys()):
            if found.get(one_id) != writer.documents.get(one_id):
                expected, actual = writer.documents.get(one_id), found.get(one_id)
                self.arena.violated(f"document {one_id} of {writer.index} should be {expected} and is {actual}")

    def _compare_changes(self) -> None:
        made = Counter[str]()
        after, last = 0, 1
        while after < last:
            _, answer = self.arena.insist("GET", f"/v1/audit?limit=100&after={after}")
            made.update(entry["reason"] for entry in answer["entries"])
            after, last = answer["entries"][-1]["seq"], answer["last_seq"]
        for writer in self.writers:
            lost = sorted(writer.changes - made.keys())
            twice = sorted(reason for reason in writer.changes | writer.unsure if made[reason] > 1)
            if lost or twice:
                self.arena.violated(f"changes of {writer.index}: {lost} lost, {twice} made twice")

    def _compare_events(self, deadline: float) -> None:
        """Every acknowledged event is in BEHAVIOR once. Those of NATS get there a little later."""
        acknowledged = set().union(*(shopper.events for shopper in self.shoppers), self.publisher.events)
        while (lost := acknowledged - (stored := self._stored_events()).keys()) and time.monotonic() < deadline:
            time.sleep(1)
        twice = sorted(event_id for event_id, times in stored.items() if times > 1)
        if lost or twice:
            self.arena.violated(f"events: {sorted(lost)} of {len(acknowledged)} lost, {twice} stored twice")

    def _stored_events(self) -> Counter[str]:
        """Count how often each interaction is in BEHAVIOR, by id."""

        async def read() -> Counter[str]:
            stored = Counter[str]()
            async with event_log(self.arena.service) as log:
                async for record in log.read("BEHAVIOR"):
                    events = decode_behavior(record.data).events
                    stored.update(event.id for event in events if isinstance(event, InteractionRecorded))
            return stored

        return asyncio.run(read())

    def _outcome(self, seed: int, seconds: float, made: Counter[str]) -> Outcome:
        searches = Counter[int]()
        for shopper in self.shoppers:
            searches.update(shopper.statuses)
        return Outcome(
            seed,
            seconds,
            dict(made),
            {
                "documents": sum(len(writer.documents) for writer in self.writers),
                "changes": sum(len(writer.changes) for writer in self.writers),
                "events": sum(len(shopper.events) for shopper in self.shoppers),
                "events over NATS": len(self.publisher.events),
            },
            dict(searches),
            {what: round(took_s, 1) for what, took_s in self.probe.longest.items()},
            round(self.watch.memory_mib),
            self.arena.violations,
        )


def _prepare(arena: Arena) -> None:
    """Make the indexes that searches and worst requests need."""
    bare: dict[str, Any] = {
        "searchable": [{"name": "title"}, {"name": "body"}],
        "title": "title",
        "reason": "no vectors",
    }
    for index, documents in ((TAGS, tagged(2000)), (ARTICLES, articles(random.Random(1), 20)), ("written", [])):
        arena.insist("PUT", f"/v1/indexes/{index}", bare)
        import_documents(arena.service.url, index, documents)
    import_documents(arena.service.url, PROBE, [json.dumps({"id": "probe", "title": "probe", "n": 0}).encode()])
