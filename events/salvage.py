"""CONTROL put together again from its copy and from the stream, where one of them or both are damaged. Pure.

Later sequences name earlier ones, so none may move: a message that neither holds is replaced by `MessageLost`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final, NamedTuple

from events.archive import ArchivedRecord, read_line
from events.chain import GENESIS, link
from events.codec import decode_control, encode
from events.errors import Corrupt, LaterVersion
from events.log import Record
from events.streams import LOST_SUBJECT
from events.types import MessageLost

_HASH: Final = re.compile(r"[0-9a-f]{64}")


class Salvaged(NamedTuple):
    """One message of CONTROL.

    loss: why its content is lost; '' if it is not
    """

    record: Record
    loss: str = ""


def copied_messages(content: bytes) -> dict[int, ArchivedRecord]:
    """Return the messages of a copy of CONTROL by sequence, without the lines that are damaged. The message of line n
    is n, but for a damaged line feed, which joins two lines.

    content: of the file; an incomplete last line is left out
    """
    messages: dict[int, ArchivedRecord] = {}
    # Only line feeds end a line: data may hold a carriage return between tokens.
    lines = content[: content.rfind(b"\n") + 1].split(b"\n")
    for seq, line in enumerate(lines, start=1):
        with suppress(Corrupt):
            archived = read_line(line)
            is_plausible = archived.stream == "CONTROL" and seq <= archived.seq < seq + len(lines)
            if is_plausible and _HASH.fullmatch(archived.chain) and archived.seq not in messages:
                messages[archived.seq] = archived
    return messages


def salvage_control(
    copied: Mapping[int, ArchivedRecord], stored: Mapping[int, Record], now: datetime
) -> Iterator[Salvaged]:
    """Yield CONTROL from its first message to the last that the copy or the stream holds.

    A message of the copy counts if the hashes beside it agree; then what the stream holds; then the copy without proof.

    copied: the copy's messages by sequence
    stored: the stream's messages by sequence
    now: time of the messages that replace lost ones
    """
    # The hash up to the message before, as it is computed here, and as the copy notes it.
    computed = noted = GENESIS
    for seq in range(1, max([0, *copied, *stored]) + 1):
        archived, record = copied.get(seq), stored.get(seq)
        is_proven = archived is not None and _continues((computed, noted), archived)
        candidates = [record] if record is not None else []
        if archived is not None:
            candidates.insert(0 if is_proven else len(candidates), _record(archived))
        salvaged = _first_readable(candidates) or _lost(seq, candidates, now)
        noted = archived.chain if archived is not None else ""
        computed = noted if is_proven else link(computed, salvaged.record.data)
        yield salvaged


def _continues(chains: Iterable[str], archived: ArchivedRecord) -> bool:
    return any(link(chain, bytes(archived.data)) == archived.chain for chain in chains)


def _record(archived: ArchivedRecord) -> Record:
    data = bytes(archived.data)
    return Record("CONTROL", archived.subject, archived.seq, archived.timestamp, data, archived.msg_id)


def _first_readable(candidates: Iterable[Record]) -> Salvaged | None:
    for record in candidates:
        try:
            decode_control(record.data)
        except LaterVersion:
            pass
        except Corrupt:
            continue
        return Salvaged(record)
    return None


def _lost(seq: int, unreadable: list[Record], now: datetime) -> Salvaged:
    """Return the replacement of a message, with what its bytes were."""
    try:
        decode_control(unreadable[0].data)
    except IndexError:
        loss = "neither the log nor its copy has it"
    except Corrupt as error:
        loss = str(error)
    event = MessageLost(id=f"lost-{seq}", timestamp=now, index="", actor="repair", reason=loss)
    return Salvaged(Record("CONTROL", LOST_SUBJECT, seq, now, encode(event), event.id), f"CONTROL {seq}: {loss}")
