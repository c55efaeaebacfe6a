"""Export the log to a file, and import it from one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from events.archive import archive_line
from events.chain import GENESIS, link
from events.copy import read_archive
from events.errors import Conflict, Corrupt, InvalidInput
from events.log import Entry, EventLog, Record
from events.streams import STREAMS, StreamName
from searchsvc.runtime.files import open_private

# CONTROL first: the subjects of the other streams name sequences of it.
EXPORTED_STREAMS: Final[tuple[StreamName, ...]] = ("CONTROL", "DRAFTS", "CATALOG", "BEHAVIOR", "SIGNALS", "DEAD")
# Folders that name sequences of a stream, so that they are invalid once it is imported.
DERIVED_FOLDERS: Final[Mapping[StreamName, tuple[str, ...]]] = {
    "CATALOG": ("catalog", "indexes"),
    "DRAFTS": ("drafts",),
    "BEHAVIOR": ("behavior", "recorded"),
}

Counts = dict[StreamName, int]


async def export_log(event_log: EventLog, file: Path, streams: Sequence[StreamName]) -> Counts:
    """Write streams to a file, one message a line; return how many messages of each. The file appears when complete."""
    partial, counts = file.with_name(f"{file.name}.partial"), dict.fromkeys(streams, 0)
    with open_private(partial) as output:
        for stream in streams:
            chain = GENESIS
            async for record in event_log.read(stream):
                chain = link(chain, record.data)
                output.write(archive_line(record, chain if stream == "CONTROL" else ""))
                counts[stream] += 1
    partial.rename(file)
    return counts


async def import_archive(
    event_log: EventLog, data_path: Path, file: Path, progress: Callable[[int], None] = lambda n_messages: None
) -> Counts:
    """Append the messages of an archive to the log; return how many of each stream.

    CONTROL keeps its sequences: what the log holds must be the beginning of the archive. Other streams must be empty.
    Snapshots and indexes that name sequences of an imported stream are deleted.

    data_path: the service's data folder.
    progress: called with the number of messages so far, after each.
    Raises Corrupt if CONTROL in the log and in the archive differ; InvalidInput if another stream is not empty.
    """
    counts: Counts = {}
    last_seqs = {stream: (await event_log.stream_state(stream)).last_seq for stream in STREAMS}
    present = [record async for record in event_log.read("CONTROL")]
    for archived in read_archive(file):
        stream = archived.stream
        entry = Entry(archived.subject, bytes(archived.data), archived.msg_id)
        if stream == "CONTROL" and archived.seq <= len(present):
            _require_equal(present[archived.seq - 1], entry, file, data_path)
            continue
        if stream != "CONTROL" and last_seqs[stream]:
            limit = "an empty stream"
            raise InvalidInput(f"{stream} holds messages already; import into {limit}", field=stream, limit=limit)
        expected = archived.seq - 1 if stream == "CONTROL" else None
        try:
            await event_log.append(stream, entry, expected_last_seq=expected)
        except Conflict as conflict:
            raise Corrupt(f"CONTROL ends at {conflict.actual}, so {archived.seq} cannot follow") from conflict
        counts[stream] = counts.get(stream, 0) + 1
        progress(sum(counts.values()))
    delete_derived(data_path, counts)
    return counts


def delete_derived(data_path: Path, streams: Sequence[StreamName] | Counts) -> None:
    """Delete the snapshots and indexes that name sequences of these streams."""
    for stream in streams:
        for folder in DERIVED_FOLDERS.get(stream, ()):
            shutil.rmtree(data_path / folder, ignore_errors=True)


def _require_equal(record: Record, entry: Entry, file: Path, data_path: Path) -> None:
    if record.data != entry.data:
        raise Corrupt(
            f"CONTROL {record.seq} is another message than the one in {file}: move the store "
            f"({data_path / 'nats'}) away, then import again"
        )
