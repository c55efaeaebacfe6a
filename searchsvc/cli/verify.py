"""`events verify`: is the log whole, is its copy the same, and is what is served what a full replay gives?"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import rich_click as click

from events.chain import GENESIS
from events.codec import decode_behavior, decode_catalog, decode_dead
from events.control import ControlState, control_hash, fold_message
from events.copy import COPY_NAME, read_archive
from events.digest import CatalogFold, DocumentsDigest, state_hash, text_hash
from events.errors import Corrupt, SearchsvcError
from events.log import EventLog
from events.snapshot import Snapshots, require_checkpoint
from events.types import EventRefused, InteractionRecorded
from searchsvc.app import log_watch as watch
from searchsvc.behavior import follower
from searchsvc.cli.client import ServiceClient, json_option, url_option
from searchsvc.cli.log import connect_as_reader, load_log_config, log_options
from searchsvc.engines.embedded.storage import stored_documents
from searchsvc.http.shapes.state import IndexState, StateInfo
from searchsvc.runtime.config import Config

# While documents are written, the log and what is served of it differ from moment to moment.
ATTEMPTS: Final = 5
ATTEMPT_EVERY_S: Final = 0.5
NAMED: Final = 10
CHECKPOINTS: Final = (("behavior", follower.SCHEMA), ("catalog", watch.SCHEMA))


class Finding(msgspec.Struct, frozen=True):
    """One thing that was checked. holds: False where there is any doubt."""

    check: str
    holds: bool
    detail: str


@click.command()
@log_options
@url_option
@json_option
def verify(data_dir: str | None, config_file: Path | None, url: str, as_json: bool) -> None:
    """Check that the log of a running service is whole, that its copy agrees, and that what is served is its replay.

    Ends with 1 on any doubt.
    """
    config = load_log_config(config_file, data_dir)
    findings = asyncio.run(_Verification(config, url).run())
    holds = all(finding.holds for finding in findings)
    if as_json:
        click.echo(msgspec.json.encode({"holds": holds, "findings": findings}))
    else:
        for finding in findings:
            click.echo(f"{'holds' if finding.holds else 'DOUBT':6} {finding.check}: {finding.detail}")
        click.echo("the log is what it was" if holds else "the log cannot be vouched for")
    if not holds:
        sys.exit(1)


class _Verification:
    """Reads everything once. What a check finds out, those after it use."""

    def __init__(self, config: Config, url: str) -> None:
        self._config = config
        self._url = url
        self._findings: list[Finding] = []
        self._served: StateInfo | None = None
        self._copied = [GENESIS]
        self._states = [ControlState()]
        self._catalog = CatalogFold()

    async def run(self) -> list[Finding]:
        # What is served has to be in the copy, and what is in the copy in the log: so they are read in this order.
        await self._look("service", self._ask_service)
        await self._look("copy", self._read_copy)
        try:
            event_log = await connect_as_reader(self._config)
        except SearchsvcError as error:
            return [*self._findings, Finding("log", False, str(error))]
        try:
            for check, work in (
                ("CONTROL", self._read_control),
                ("state", self._compare_state),
                ("log and copy", self._compare_copy),
                ("CATALOG", self._read_catalog),
                ("documents", self._compare_documents),
                ("BEHAVIOR", self._read_behavior),
                ("DEAD", self._read_dead),
                ("checkpoints", self._hold_checkpoints),
            ):
                await self._look(check, lambda work=work: work(event_log))  # type: ignore[misc]  # bound as a default
        finally:
            await event_log.close()
        return self._findings

    async def _look(self, check: str, work: Callable[[], Awaitable[str]]) -> None:
        try:
            self._findings.append(Finding(check, True, await work()))
        except (SearchsvcError, click.ClickException, OSError) as error:
            said = error.message if isinstance(error, click.ClickException) else str(error)
            self._findings.append(Finding(check, False, said))

    async def _ask_service(self) -> str:
        self._served = await asyncio.to_thread(_state_of, self._url)
        return f"serves CONTROL {self._served.seq} and {len(self._served.indexes)} indexes at {self._url}"

    async def _read_copy(self) -> str:
        path = self._config.data_path / COPY_NAME
        self._copied += [archived.chain for archived in read_archive(path)]
        n = len(self._copied) - 1
        if self._served is not None and n < self._served.seq:
            raise Corrupt(f"{path} ends at CONTROL {n}, but {self._served.seq} is served")
        return f"{path} holds {n} messages, their chain unbroken"

    async def _read_control(self, event_log: EventLog) -> str:
        last_seq = (await event_log.position("CONTROL")).last_seq
        async for record in event_log.read("CONTROL"):
            self._states.append(fold_message(self._states[-1], record.data, record.seq))
        newest = self._states[-1]
        if newest.seq < last_seq:
            raise Corrupt(f"the stream says it ends at {last_seq}, but {newest.seq} can be read")
        return f"{newest.seq} messages, no gap, each an event; chain ends in {newest.chain[:12]}"

    async def _compare_state(self, _: EventLog) -> str:
        served = self._require_served()
        if served.seq >= len(self._states):
            raise Corrupt(f"the service serves CONTROL {served.seq}, but the log ends at {self._states[-1].seq}")
        replayed = self._states[served.seq]
        if replayed.chain != served.chain:
            raise Corrupt(f"at CONTROL {served.seq} the log's chain is {replayed.chain[:12]}, the service's another")
        if control_hash(replayed) != served.control_hash:
            raise Corrupt(f"a replay up to CONTROL {served.seq} gives another state than the one that is served")
        return f"a replay up to CONTROL {served.seq} gives what is served, hash {served.control_hash[:12]}"

    async def _compare_copy(self, _: EventLog) -> str:
        for seq, (chain, state) in enumerate(zip(self._copied, self._states, strict=False)):
            if chain != state.chain:
                raise Corrupt(f"CONTROL {seq} is not what the copy holds")
        if len(self._copied) > len(self._states):
            missing = f"CONTROL {len(self._states)} to {len(self._copied) - 1} are in the copy and not in the log"
            raise Corrupt(f"{missing}: `searchsvc events import` puts them back")
        return f"the same up to CONTROL {len(self._copied) - 1}"

    async def _read_catalog(self, event_log: EventLog) -> str:
        """Again while documents are written, so that what is served can be compared with it."""
        n = 0
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(ATTEMPT_EVERY_S)
            before = (await event_log.position("CATALOG")).last_seq
            self._catalog, n = CatalogFold(), 0
            async for record in event_log.read("CATALOG"):
                self._catalog.apply(record.subject, decode_catalog(record.data))
                n += 1
            with contextlib.suppress(click.ClickException):
                self._served = await asyncio.to_thread(_state_of, self._url)
            if (await event_log.position("CATALOG")).last_seq == before and not self._differing():
                break
        return f"{n} messages, as many as are counted, each an event"

    async def _compare_documents(self, _: EventLog) -> str:
        served = self._require_served()
        differing = self._differing()
        if differing:
            raise Corrupt("; ".join(self._named(name) for name in differing))
        n_refused = sum(index.n_refused for index in served.indexes.values())
        if n_refused:
            # What is served differs from the log, and says by how much; the hash says only that.
            return f"a full replay gives the documents that are served and {n_refused} that a cluster refused"
        if served.seq < len(self._states) and served.state_hash:
            control = self._states[served.seq]
            digests = {name: self._replayed(name) for name in control.indexes}
            if state_hash(control, digests) != served.state_hash:
                raise Corrupt("a full replay gives another state hash than the one that is served")
        total = sum(index.documents.count for index in served.indexes.values())
        return f"a full replay gives the {total} documents that are served, state hash {served.state_hash[:12]}"

    async def _read_behavior(self, event_log: EventLog) -> str:
        seen, n_interactions, n_messages, expected = set[str](), 0, 0, 0
        async for record in event_log.read("BEHAVIOR"):
            if expected and record.seq != expected:
                raise Corrupt(f"messages {expected} to {record.seq - 1} are missing")
            expected, n_messages = record.seq + 1, n_messages + 1
            ids = [e.id for e in decode_behavior(record.data).events if isinstance(e, InteractionRecorded)]
            n_interactions += len(ids)
            seen.update(ids)
        twice = n_interactions - len(seen)
        again = f", {twice} of them stored again and counted once" if twice else ""
        return f"{n_messages} messages, no gap, with {n_interactions} interactions{again}"

    async def _read_dead(self, event_log: EventLog) -> str:
        dead = [decode_dead(record.data) async for record in event_log.read("DEAD")]
        n_refused = sum(isinstance(event, EventRefused) for event in dead)
        return f"{n_refused} events that could not be used, each with its reason; {len(dead) - n_refused} sent again"

    async def _hold_checkpoints(self, event_log: EventLog) -> str:
        held = []
        for folder, schema in CHECKPOINTS:
            kept = Snapshots(self._config.data_path / folder, schema).checkpoint()
            if kept is not None:
                await require_checkpoint(event_log, kept, datetime.now(UTC))
                held.append(f"{kept.stream} {kept.seq}")
        return f"the log still has what was kept of {' and '.join(held)}" if held else "none was taken yet"

    def _require_served(self) -> StateInfo:
        if self._served is None:
            raise Corrupt("no service answered, so nothing could be compared")
        return self._served

    def _replayed(self, name: str) -> DocumentsDigest:
        return self._catalog.digest(name, self._require_served().indexes[name].created_seq)

    def _differing(self) -> list[str]:
        """The indexes whose documents are not those of the log."""
        served = self._served.indexes if self._served is not None else {}
        return [name for name, index in served.items() if not self._same(index, self._replayed(name))]

    @staticmethod
    def _same(index: IndexState, replayed: DocumentsDigest) -> bool:
        """What a cluster refused cannot be told apart; how many documents it is can be."""
        if index.n_refused:
            return replayed.count - index.documents.count >= index.n_refused
        return index.documents == replayed

    def _named(self, name: str) -> str:
        """Which documents differ, as far as the newest snapshot of the index can tell."""
        created_seq = self._require_served().indexes[name].created_seq
        there = self._catalog.documents(name, created_seq)
        folder = self._config.data_path / "indexes" / f"{name}-{created_seq}"
        saved = {document_id: text_hash(text) for document_id, text in stored_documents(folder).items()}
        missing = [document_id for document_id in saved if document_id not in there]
        other = [document_id for document_id, kept in saved.items() if there.get(document_id, kept) != kept]
        said = [f"index {name} serves documents that are not those of CATALOG"]
        for ids, what in ((missing, "not in CATALOG any more"), (other, "another version in CATALOG")):
            if ids:
                more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
                said.append(f"{what}: {', '.join(ids[:NAMED])}{more}")
        return ", ".join(said)


def _state_of(url: str) -> StateInfo:
    with ServiceClient(url) as client:
        return client.call("GET", "/v1/state", StateInfo)
