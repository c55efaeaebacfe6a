"""Whether two services gave the same answer to a search: ids, scores, total and facets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Difference(msgspec.Struct, frozen=True):
    """One member in which two answers differ, with the value of each side."""

    query: str
    member: str
    this: object
    other: object


def differences(query: str, this: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """Compare two answers to a query, scores and counts exactly.

    Looks only at members that are the same in every version of the API.
    """
    members, other_members = _compared_members(this), _compared_members(other)
    return [
        Difference(query, name, value, other_members[name])
        for name, value in members.items()
        if value != other_members[name]
    ]


def _compared_members(answer: Mapping[str, Any]) -> dict[str, object]:
    facets = answer["facets"] or {}
    return {
        "ids": [hit["id"] for hit in answer["hits"]],
        "scores": [hit["score"] for hit in answer["hits"]],
        "total": answer["total"],
        "facets": {
            name: [[counted["value"], counted["count"]] for counted in facet["values"]]
            for name, facet in facets.items()
        },
    }
