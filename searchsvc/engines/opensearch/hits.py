"""The hits of one search: what the node reported of each, by slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from searchsvc.engines.opensearch import mapping, replies
from tuning.arrays import IntArray


class ReportedHit(msgspec.Struct, frozen=True):
    """What the node reported of one document.

    columns: its signals, its vector and its title, see `searchsvc.engines.opensearch.columns.Columns`
    short: the document itself in base64; '' if it is long or was not requested
    named: scores of the named clauses that it matches
    fields: values of the attributes that were requested, by path
    """

    id: str
    columns: str
    short: str
    named: Mapping[str, float]
    fields: Mapping[str, list[str | float | bool]]


class Hits:
    """All hits of one search. A slot is the order in which a document first came."""

    def __init__(self) -> None:
        self._hits: list[ReportedHit] = []
        self._slots: dict[str, int] = {}

    def __getitem__(self, slot: int) -> ReportedHit:
        return self._hits[slot]

    def select(self, slots: IntArray) -> list[ReportedHit]:
        return [self._hits[slot] for slot in slots.tolist()]

    def ids(self, slots: IntArray) -> list[str]:
        return [self._hits[slot].id for slot in slots.tolist()]

    def add(self, hits: Sequence[replies.Hit]) -> IntArray:
        """Add the hits of a reply and return their slots.

        A document that came before keeps what earlier replies reported and this one does not.
        """
        slots = []
        for hit in hits:
            document_id = str(hit.fields["id"][0])
            slot = self._slots.setdefault(document_id, len(self._hits))
            if slot == len(self._hits):
                columns, short = str(hit.fields[mapping.COLUMNS][0]), str(hit.fields.get(mapping.SHORT, [""])[0])
                self._hits.append(ReportedHit(document_id, columns, short, hit.matched_queries, hit.fields))
            else:
                before = self._hits[slot]
                named, fields = {**before.named, **hit.matched_queries}, {**before.fields, **hit.fields}
                self._hits[slot] = msgspec.structs.replace(before, named=named, fields=fields)
            slots.append(slot)
        return np.array(slots, np.int64)

    def clear_named(self) -> None:
        """Forget the scores of named clauses, before those of another query come under the same names."""
        self._hits = [msgspec.structs.replace(hit, named={}) for hit in self._hits]
