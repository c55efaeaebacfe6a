"""Load a collection's documents into a service, over those parts of the HTTP API that every version has."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.collection import documents_file, lines
from benchmarks.errors import BenchmarkFailed
from benchmarks.running import RunningService, call
from events.errors import InvalidInput
from events.sizes import MIB
from searchsvc.engines.embedded import storage

CHUNK_LINES: Final = 500
CHUNK_BYTES: Final = 4 * MIB
POLL_S: Final = 0.1
STALLED_S: Final = 120.0


class Imported(msgspec.Struct, frozen=True):
    """A collection in an index.

    documents: members of the accepted documents; of several with one id the last
    refused: reasons by line number; blank lines are not counted
    seconds: from the first request until every document was searchable
    settings: of the index, as the API shows them
    catalog_seq: of the last document
    """

    documents: list[dict[str, Any]]
    refused: dict[int, str]
    seconds: float
    settings: dict[str, Any]
    catalog_seq: int


def import_collection(service: RunningService, index: str, folder: Path) -> Imported:
    """Send a collection's documents and wait until all are searchable.

    Raises InvalidInput if the folder has no documents or none is accepted, and BenchmarkFailed if the import stalls.
    """
    file = documents_file(folder)
    refused: dict[int, str] = {}
    catalog_seq = n_sent = 0
    started = time.perf_counter()
    with closing(service.connection()) as connection:
        for chunk in _chunks(lines(file)):
            answer = send_documents(connection, "POST", index, b"".join(chunk))
            refused |= {n_sent + entry["line"]: str(entry["reason"]) for entry in answer["refused"]}
            catalog_seq = max(catalog_seq, int(answer["catalog_seq"] or 0))
            n_sent += len(chunk)
        documents = _accepted(file, refused)
        await_searchable(connection, index, catalog_seq)
    seconds = time.perf_counter() - started
    _, info = service.call("GET", f"/v1/indexes/{index}")
    return Imported(documents, refused, seconds, info["settings"], catalog_seq)


def saved(service: RunningService, index: str, catalog_seq: int) -> RunningService:
    """Make a service save its index to disk, up to a sequence of CATALOG; return the service that runs then.

    A service saves an index by itself only after many changes, and in any case when it stops: so wait until it has
    tidied up, and if the snapshot on disk is older, start it again.
    """
    service.await_idle()
    if saved_seq(service.data_dir, index) >= catalog_seq:
        return service
    service = service.restarted()
    if saved_seq(service.data_dir, index) < catalog_seq:
        raise BenchmarkFailed(f"index {index} was not saved when its service stopped")
    service.await_idle()
    return service


def saved_seq(data_dir: Path, index: str) -> int:
    """Return the CATALOG sequence of an index's newest snapshot on disk; 0 if there is none."""
    folders = (data_dir / "indexes").glob(f"{index}-*")
    return max((int(snapshot.name) for folder in folders for snapshot in storage.snapshots(folder)), default=0)


def _chunks(documents: Iterable[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for line in documents:
        if chunk and (len(chunk) == CHUNK_LINES or size + len(line) > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(line.rstrip() + b"\n")
        size += len(line)
    if chunk:
        yield chunk


def send_documents(connection: HTTPConnection, method: str, index: str, body: bytes) -> dict[str, Any]:
    """Write documents (POST) or change them (PATCH). Raises InvalidInput and BenchmarkFailed."""
    connection.request(method, f"/v1/indexes/{index}/documents", body)
    response = connection.getresponse()
    answer: dict[str, Any] = msgspec.json.decode(response.read())
    if 400 <= response.status < 500:
        raise InvalidInput(f"the documents are refused: {answer.get('detail', answer)}", field="collection")
    if response.status != 200:
        raise BenchmarkFailed(f"the documents were answered {response.status}: {answer}")
    return answer


def _accepted(file: Path, refused: Mapping[int, str]) -> list[dict[str, Any]]:
    """Decode the documents that were not refused."""
    documents: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(lines(file), start=1):
        if number not in refused:
            document = msgspec.json.decode(line)
            documents[document["id"]] = document
    if not documents:
        number, reason = next(iter(refused.items()), (1, "the file is empty"))
        message = f"no document of {file} was accepted; line {number}: {reason}"
        raise InvalidInput(message, field="collection", value=str(file), limit="1 document or more")
    return list(documents.values())


def await_searchable(connection: HTTPConnection, index: str, catalog_seq: int) -> None:
    """Wait until searches see a CATALOG sequence. Raises BenchmarkFailed if nothing moves."""
    applied, changed = -1, time.monotonic()
    while applied < catalog_seq:
        status, answer = call(connection, "POST", f"/v1/indexes/{index}/search", {"query": "", "limit": 1})
        # Until the index is open, searches are answered 503.
        now_applied = int(answer["applied_catalog_seq"]) if status == 200 else -1
        if now_applied != applied:
            applied, changed = now_applied, time.monotonic()
        if time.monotonic() - changed > STALLED_S:
            message = f"no document became searchable for {STALLED_S:g} s; {applied} of sequence {catalog_seq}"
            raise BenchmarkFailed(message)
        time.sleep(POLL_S)
