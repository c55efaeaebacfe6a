"""Check the log of a running service: it is complete, its copy agrees, and a full replay gives what is served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from events.chain import GENESIS
from events.codec import decode_behavior, decode_catalog, decode_dead
from events.control import ControlState, control_hash, fold_message
from events.copy import COPY_NAME, REMEDY, read_archive
from events.digest import CatalogFold, DocumentsDigest, state_hash, text_hash
from events.errors import Corrupt, SearchsvcError, Unavailable
from events.log import EventLog
from events.types import DeadLettersDropped, EventRefused, EventReplayed, InteractionRecorded
from searchsvc.app.checkpoints import CHECKPOINTS, require_saved_checkpoint
from searchsvc.behavior.keyring_identity import keyring_loss, stored_identity
from searchsvc.engines.embedded.storage import stored_documents
from searchsvc.state.state_info import ServedDocuments, StateInfo

# While documents are written, the log and what is served differ from moment to moment.
ATTEMPTS: Final = 5
RETRY_S: Final = 0.5
MAX_NAMED: Final = 10


class Finding(msgspec.Struct, frozen=True):
    """The result of one check.

    holds: False if there is any doubt.
    """

    check: str
    holds: bool
    detail: str


class LogVerification:
    """One verification. Each stream is read once; later checks use what earlier ones have read.

    data_path: the service's data folder.
    url: address of the service, for messages.
    open_log: connects to the log, to read it.
    fetch_state: returns what the service serves now. Blocks. Raises Unavailable if no service answers.
    """

    def __init__(
        self,
        data_path: Path,
        url: str,
        open_log: Callable[[], AbstractAsyncContextManager[EventLog]],
        fetch_state: Callable[[], StateInfo],
    ) -> None:
        self._data_path = data_path
        self._url = url
        self._open_log = open_log
        self._fetch_state = fetch_state
        self._findings: list[Finding] = []
        self._served: StateInfo | None = None
        self._copied_chains = [GENESIS]
        # The state after each CONTROL message.
        self._states = [ControlState()]
        self._catalog = CatalogFold()

    async def run(self) -> list[Finding]:
        """Run all checks."""
        # The service is asked first, the copy read second and the log last: each is part of the next.
        await self._check("service", self._ask_service)
        await self._check("copy", self._read_copy)
        try:
            async with self._open_log() as event_log:
                await self._check_log(event_log)
        except SearchsvcError as error:
            self._findings.append(Finding("log", False, str(error)))
        return self._findings

    async def _check_log(self, event_log: EventLog) -> None:
        for name, check in (
            ("CONTROL", self._read_control),
            ("state", self._compare_state),
            ("log and copy", self._compare_copy),
            ("CATALOG", self._read_catalog),
            ("documents", self._compare_documents),
            ("BEHAVIOR", self._read_behavior),
            ("DEAD", self._read_dead),
            ("checkpoints", self._compare_checkpoints),
            ("keyring", self._compare_keyring),
        ):
            await self._check(name, partial(check, event_log))

    async def _check(self, name: str, check: Callable[[], Awaitable[str]]) -> None:
        """Run a check, which returns a detail or raises, and add its finding."""
        try:
            self._findings.append(Finding(name, True, await check()))
        except (SearchsvcError, OSError) as error:
            self._findings.append(Finding(name, False, str(error)))

    async def _ask_service(self) -> str:
        self._served = await asyncio.to_thread(self._fetch_state)
        return f"serves CONTROL {self._served.seq} and {len(self._served.indexes)} indexes at {self._url}"

    async def _read_copy(self) -> str:
        path = self._data_path / COPY_NAME
        self._copied_chains += [archived.chain for archived in read_archive(path)]
        n_messages = len(self._copied_chains) - 1
        if self._served is not None and n_messages < self._served.seq:
            raise Corrupt(f"{path} ends at CONTROL {n_messages}, but {self._served.seq} is served")
        return f"{path} holds {n_messages} messages, their chain unbroken"

    async def _read_control(self, event_log: EventLog) -> str:
        last_seq = (await event_log.stream_state("CONTROL")).last_seq
        async for record in event_log.read("CONTROL"):
            self._states.append(fold_message(self._states[-1], record.data, record.seq))
        newest = self._states[-1]
        if newest.seq < last_seq:
            raise Corrupt(f"the stream reports its end at {last_seq}, but only {newest.seq} can be read")
        return f"{newest.seq} messages, no gap, each an event; the chain ends in {newest.chain[:12]}"

    async def _compare_state(self, _: EventLog) -> str:
        served = self._require_served()
        if served.seq >= len(self._states):
            raise Corrupt(f"the service serves CONTROL {served.seq}, but the log ends at {self._states[-1].seq}")
        replayed = self._states[served.seq]
        if replayed.chain != served.chain:
            raise Corrupt(
                f"at CONTROL {served.seq} the chain of the log is {replayed.chain[:12]}, that of the service another"
            )
        if control_hash(replayed) != served.control_hash:
            raise Corrupt(f"a replay up to CONTROL {served.seq} gives another state than the one that is served")
        return f"a replay up to CONTROL {served.seq} gives what is served, hash {served.control_hash[:12]}"

    async def _compare_copy(self, _: EventLog) -> str:
        for seq, (chain, state) in enumerate(zip(self._copied_chains, self._states, strict=False)):
            if chain != state.chain:
                raise Corrupt(f"CONTROL {seq} differs from the copy")
        last_copied = len(self._copied_chains) - 1
        if last_copied >= len(self._states):
            missing = f"CONTROL {len(self._states)} to {last_copied} are in the copy and not in the log"
            raise Corrupt(f"{missing}; {REMEDY}")
        return f"equal up to CONTROL {last_copied}"

    async def _read_catalog(self, event_log: EventLog) -> str:
        """Fold CATALOG, again while documents are written, so that it can be compared with what is served."""
        n_messages = 0
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(RETRY_S)
            last_seq = (await event_log.stream_state("CATALOG")).last_seq
            self._catalog, n_messages = CatalogFold(), 0
            async for record in event_log.read("CATALOG"):
                self._catalog.apply(record.subject, decode_catalog(record.data))
                n_messages += 1
            with suppress(Unavailable):  # the first check has reported it
                self._served = await asyncio.to_thread(self._fetch_state)
            if (await event_log.stream_state("CATALOG")).last_seq == last_seq and not self._differing_indexes():
                break
        return f"{n_messages} messages, as many as are counted, each an event"

    async def _compare_documents(self, _: EventLog) -> str:
        served = self._require_served()
        differing = self._differing_indexes()
        if differing:
            raise Corrupt("; ".join(self._describe_difference(name) for name in differing))
        n_refused = sum(index.n_refused for index in served.indexes.values())
        if n_refused:
            # What is served differs from the log by a known number; a hash could not tell that from another difference.
            return f"a full replay gives the documents that are served and {n_refused} that a cluster refused"
        if served.seq < len(self._states) and served.state_hash:
            control = self._states[served.seq]
            digests = {name: self._replayed_digest(name) for name in control.indexes}
            if state_hash(control, digests) != served.state_hash:
                raise Corrupt("a full replay gives another state hash than the one that is served")
        n_documents = sum(index.documents.count for index in served.indexes.values())
        return f"a full replay gives the {n_documents} documents that are served, state hash {served.state_hash[:12]}"

    async def _read_behavior(self, event_log: EventLog) -> str:
        event_ids, n_interactions, n_messages, expected_seq = set[str](), 0, 0, 0
        async for record in event_log.read("BEHAVIOR"):
            if expected_seq and record.seq != expected_seq:
                raise Corrupt(f"messages {expected_seq} to {record.seq - 1} are missing")
            expected_seq, n_messages = record.seq + 1, n_messages + 1
            ids = [e.id for e in decode_behavior(record.data).events if isinstance(e, InteractionRecorded)]
            n_interactions += len(ids)
            event_ids.update(ids)
        n_repeated = n_interactions - len(event_ids)
        repeated = f", {n_repeated} of them stored again and counted once" if n_repeated else ""
        return f"{n_messages} messages, no gap, with {n_interactions} interactions{repeated}"

    async def _read_dead(self, event_log: EventLog) -> str:
        events = [decode_dead(record.data) async for record in event_log.read("DEAD")]
        n_refused = sum(isinstance(event, EventRefused) for event in events)
        n_replayed = sum(isinstance(event, EventReplayed) for event in events)
        n_dropped = sum(event.n_dropped for event in events if isinstance(event, DeadLettersDropped))
        removed = f"; {n_dropped} were removed to make room" if n_dropped else ""
        return f"{n_refused} events that could not be used, each with its reason; {n_replayed} sent again{removed}"

    async def _compare_checkpoints(self, event_log: EventLog) -> str:
        positions = []
        for folder in CHECKPOINTS:
            checkpoint = await require_saved_checkpoint(self._data_path, folder, event_log)
            if checkpoint is not None:
                positions.append(f"{checkpoint.stream} {checkpoint.seq}")
        if not positions:
            return "none was taken yet"
        return f"the log still has what it had at {' and '.join(positions)}"

    async def _compare_keyring(self, _: EventLog) -> str:
        loss = keyring_loss(self._data_path, stored_identity(self._data_path))
        if loss:
            raise Corrupt(loss)
        return "the keys of shoppers are those that the folder had"

    def _require_served(self) -> StateInfo:
        if self._served is None:
            raise Corrupt("no service answered, so nothing could be compared")
        return self._served

    def _replayed_digest(self, name: str) -> DocumentsDigest:
        return self._catalog.digest(name, self._require_served().indexes[name].created_seq)

    def _differing_indexes(self) -> list[str]:
        """Return the indexes whose served documents are not those of the log."""
        indexes = self._served.indexes if self._served is not None else {}
        return [name for name, index in indexes.items() if not self._is_replayed(index, self._replayed_digest(name))]

    @staticmethod
    def _is_replayed(index: ServedDocuments, replayed: DocumentsDigest) -> bool:
        """Return whether an index serves what a replay gives. Of documents that a cluster refused, only the count."""
        if index.n_refused:
            return replayed.count - index.documents.count >= index.n_refused
        return index.documents == replayed

    def _describe_difference(self, name: str) -> str:
        """Return which documents differ, by the newest snapshot of the index."""
        created_seq = self._require_served().indexes[name].created_seq
        in_log = self._catalog.documents(name, created_seq)
        folder = self._data_path / "indexes" / f"{name}-{created_seq}"
        saved = {document_id: text_hash(text) for document_id, text in stored_documents(folder).items()}
        missing = [document_id for document_id in saved if document_id not in in_log]
        changed = [document_id for document_id, digest in saved.items() if in_log.get(document_id, digest) != digest]
        phrases = [f"index {name} serves documents that are not those of CATALOG"]
        for ids, difference in ((missing, "not in CATALOG any more"), (changed, "another version in CATALOG")):
            if ids:
                more = f" and {len(ids) - MAX_NAMED} more" if len(ids) > MAX_NAMED else ""
                phrases.append(f"{difference}: {', '.join(ids[:MAX_NAMED])}{more}")
        return ", ".join(phrases)
