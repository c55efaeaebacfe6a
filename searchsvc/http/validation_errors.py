"""Turn msgspec's validation errors into errors that name field, value and limit. Pure."""

from __future__ import annotations

import copy
import json
import re
from bisect import bisect_left
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, Final

import msgspec
from rapidfuzz import process

from events.errors import InvalidInput

MAX_SHOWN_CHARS: Final = 90
# Of more known members, only those are named that an unknown one may be meant as.
MAX_LISTED: Final = 12
N_SIMILAR: Final = 3
MIN_SIMILARITY: Final = 60
# What msgspec writes in a path in place of the key of a dict.
ANY_NAME: Final = "[...]"
FINITE: Final = "a finite number"
TYPE_NAMES: Final = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
    "null": "null",
    "datetime": "a time as in RFC 3339",
}

# Messages of msgspec about a value and not its type, and the limit that we name instead.
MESSAGES: Final = {"Number out of range": FINITE, "Invalid RFC3339 encoded datetime": TYPE_NAMES["datetime"]}

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_EXPECTED = re.compile(r"Expected (?P<limit>.+?)(, got .*)?$")
_TYPES = re.compile("`([^`]*)`")
_LISTS: Final = (msgspec.inspect.ListType, msgspec.inspect.VarTupleType)


def refusal(message: str, sent: object, kind: type[Any]) -> InvalidInput:
    """Return the error for a request that does not fit its struct.

    message: the error message of msgspec
    sent: the request, decoded leniently
    kind: the struct that the request should fit
    """
    match = _PATH.search(message)
    path, text = match["path"] if match else "", _PATH.sub("", message)
    if ANY_NAME in path:
        path = _with_names(path, message, sent, kind)
    unknown, missing = _UNKNOWN.search(text), _MISSING.search(text)
    if unknown:
        field = f"{path}.{unknown['name']}".lstrip(".")
        limit = _known_members(kind, path, unknown["name"])
        message = f"{field} is not known here; allowed: {limit}"
        return InvalidInput(message, field=field, value=value_at(sent, field), limit=limit)
    if missing:
        field = f"{path}.{missing['name']}".lstrip(".")
        return InvalidInput(f"{field} is missing", field=field, value=None, limit="required")
    expected = _EXPECTED.search(text)
    limit = _in_words(expected["limit"]) if expected else MESSAGES.get(text, text)
    if text.startswith(("Invalid enum value", "Invalid value")):
        limit = _choices(kind, path)
    value = value_at(sent, path)
    # Piece by piece, because the value may be as large as the body.
    shown = "".join(islice(json.JSONEncoder().iterencode(value if path else sent), MAX_SHOWN_CHARS))[:MAX_SHOWN_CHARS]
    return InvalidInput(f"{path or 'the body'} is {shown}; allowed: {limit}", field=path, value=value, limit=limit)


def value_at(sent: object, path: str) -> object:
    """Return the value at a path such as `a.b[0].c`; None if there is none.

    Names may contain dots, so the longest name that matches is used.
    """
    if not path:
        return sent if not isinstance(sent, dict | list) else None
    if isinstance(sent, list):
        index = re.match(r"\[(\d+)\]\.?", path)
        return value_at(sent[int(index[1])], path[index.end() :]) if index and int(index[1]) < len(sent) else None
    if isinstance(sent, dict):
        for name in sorted(sent, key=len, reverse=True):
            if path == name or path.startswith((f"{name}.", f"{name}[")):
                return value_at(sent[name], path[len(name) :].removeprefix(".")) if path != name else sent[name]
    return None


def _with_names(path: str, message: str, sent: object, kind: type[Any]) -> str:
    """Return a path with real keys in place of `ANY_NAME`: of several, the first that is wrong.

    message, sent, kind: as in `refusal`
    """
    while ANY_NAME in path:
        before, _, after = path.partition(ANY_NAME)
        request = copy.deepcopy(sent)
        members = value_at(request, before)
        name = _first_wrong(members, partial(_has_error, request, kind, message))
        if name is None:
            return path
        path = f"{before}.{name}{after}"
    return path


def _first_wrong(members: object, has_error: Callable[[], bool]) -> str | None:
    """Return the name of the first member that is wrong; None if none is.

    members: of an object in the request; members are taken out of it
    has_error: whether the request has the error now
    """
    if not isinstance(members, dict):
        return None
    items = list(members.items())

    def has_error_up_to(position: int) -> bool:
        members.clear()
        members.update(items[: position + 1])
        return has_error()

    # Members are decoded in order, so the request has the error from the first wrong one on.
    first = bisect_left(range(len(items)), True, key=has_error_up_to)
    return items[first][0] if first < len(items) else None


def _has_error(request: object, kind: type[Any], message: str) -> bool:
    try:
        msgspec.convert(request, kind)
    except msgspec.ValidationError as error:
        return str(error) == message
    return False


def _in_words(limit: str) -> str:
    """Return what was expected, without the names of types."""

    def words(match: re.Match[str]) -> str:
        return " or ".join(TYPE_NAMES.get(name, name) for name in match[1].split(" | "))

    return _TYPES.sub(words, limit)


def _choices(kind: type[Any], path: str) -> str:
    """Return the values allowed for the literal, or for the tag, at a path such as `events[0].type`."""
    outer, _, name = path.rpartition(".")
    structs = [member for member in _types_at(kind, outer) if isinstance(member, msgspec.inspect.StructType)]
    tags = [str(struct.tag) for struct in structs if struct.tag_field == name]
    if tags:
        return " or ".join(tags)
    literals = [member for member in _types_at(kind, path) if isinstance(member, msgspec.inspect.LiteralType)]
    return " or ".join(str(value) or '""' for literal in literals for value in literal.values)


def _known_members(kind: type[Any], path: str, name: str) -> str:
    """Return the members of the object at a path; of many, those that are most similar to a name."""
    structs = [member for member in _types_at(kind, path) if isinstance(member, msgspec.inspect.StructType)]
    names = list(dict.fromkeys(field.encode_name for struct in structs for field in struct.fields))
    if len(names) > MAX_LISTED:
        similar = process.extract(name, names, limit=N_SIMILAR, score_cutoff=MIN_SIMILARITY)
        names = [similar_name for similar_name, _, _ in similar]
    return ", ".join(names) or "a known member"


def _types_at(kind: type[Any], path: str) -> list[msgspec.inspect.Type]:
    """Return the types that a value may have at a path such as `events[0]`."""
    types = _members(msgspec.inspect.type_info(kind))
    for name in re.findall(r"[^.\[\]]+", re.sub(r"\[[^\]]*\]", "[*]", path)):
        structs = [member for member in types if isinstance(member, msgspec.inspect.StructType)]
        fields = [field.type for struct in structs for field in struct.fields if field.encode_name == name]
        items = [member.item_type for member in types if isinstance(member, _LISTS)]
        types = [member for inner in (items if name == "*" else fields) for member in _members(inner)]
    return types


def _members(kind: msgspec.inspect.Type) -> list[msgspec.inspect.Type]:
    """Return the types of a union; any other type alone."""
    return list(kind.types) if isinstance(kind, msgspec.inspect.UnionType) else [kind]
