"""Parse a filter from either of its forms. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from searchsvc.engines.filters.errors import invalid
from searchsvc.engines.filters.json_form import parse_json
from searchsvc.engines.filters.text_form import parse_text
from searchsvc.engines.filters.tree import Filter, clauses

MAX_CHARS: Final = 4096
MAX_CLAUSES: Final = 200


def parse_filter(source: str | Mapping[str, object] | None, field: str = "filters") -> Filter | None:
    """Parse a filter from text or decoded JSON.

    field: name of the filter in error messages

    Returns None for an empty source. Raises InvalidInput, naming what was expected and where.
    """
    if source is None or source == "" or source == {}:
        return None
    if isinstance(source, str):
        if len(source) > MAX_CHARS:
            raise invalid(field, source, f"at most {MAX_CHARS} characters")
        condition = parse_text(source, field) if source.strip() else None
    else:
        condition = parse_json(source, field)
    n_clauses = sum(1 for _ in clauses(condition)) if condition is not None else 0
    if n_clauses > MAX_CLAUSES:
        raise invalid(field, n_clauses, f"at most {MAX_CLAUSES} clauses")
    return condition
