"""Decode requests strictly, with errors that name field, value and limit.

Litestar's own decoding takes "1" for 1 and answers 500 to deep nesting, so handlers take bytes and decode here.
"""

from __future__ import annotations

import json
import math
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar, get_args

import msgspec

from events.errors import InvalidInput, TooLarge
from searchsvc.http.validation_errors import FINITE, refusal, value_at

T = TypeVar("T")

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Body:
    """Decodes the JSON body of one kind of request.

    kind: the struct it is decoded into
    max_bytes: a longer body is refused
    """

    def __init__(self, kind: type[Any], *, max_bytes: int) -> None:
        self.kind = kind
        self.max_bytes = max_bytes
        self._decoder: Final = msgspec.json.Decoder(kind, strict=True)

    def decode(self, data: bytes) -> Any:
        """Decode a body, perhaps after a byte order mark; an empty one as an empty object.

        Raises InvalidInput and TooLarge.
        """
        if len(data) > self.max_bytes:
            limit = f"{self.max_bytes} bytes"
            raise TooLarge(f"the body has {len(data)} bytes; allowed: {limit}", value=len(data), limit=limit)
        try:
            return self._decoder.decode(data.removeprefix(BOM_UTF8) or b"{}")
        except msgspec.ValidationError as error:
            raise refusal(str(error), _parse_leniently(data), self.kind) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            _refuse_what_json_has_not(data)
            reason = str(error) or "nested too deeply"
            raise InvalidInput(f"the body is not JSON: {reason}", limit="JSON") from error


def decode_query(kind: type[T], parameters: Mapping[str, list[str]]) -> T:
    """Decode a URL's query string, where every value is text.

    parameters: by name, every value that was sent; a list is sent with commas, as several values, or as JSON

    Raises InvalidInput.
    """
    lists = {field.encode_name for field in msgspec.structs.fields(kind) if _is_list(field.type)}  # type: ignore[arg-type]
    for name, values in parameters.items():
        if len(values) > 1 and name not in lists:
            raise InvalidInput(f"{name} is sent {len(values)} times", field=name, value=len(values), limit="once")
    members: dict[str, object] = {name: values[0] for name, values in parameters.items()}
    for name in lists & set(members):
        members[name] = [item for value in parameters[name] for item in _items(value)]
    for name in _object_members(kind) & set(members):
        members[name] = _decoded(members[name], "{")
    try:
        return msgspec.convert(members, kind, strict=False)
    except msgspec.ValidationError as error:
        raise refusal(str(error), members, kind) from error


def _items(value: str) -> list[object]:
    decoded = _decoded(value, "[")
    return decoded if isinstance(decoded, list) else [item for item in value.split(",") if item]


def _decoded(value: object, opening: str) -> object:
    """Return what a text that begins so is as JSON; any other value as it is."""
    if isinstance(value, str) and value.startswith(opening):
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(value)
    return value


def _object_members(kind: Any) -> set[str]:
    """Return the names of members that take objects, maybe among others."""
    return {field.encode_name for field in msgspec.structs.fields(kind) if _is_object(field.type)}


def _is_object(kind: Any) -> bool:
    is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return is_struct or getattr(kind, "__origin__", None) is dict or any(map(_is_object, get_args(kind)))


def _is_list(kind: Any) -> bool:
    """Whether a member takes a list, maybe among others."""
    return getattr(kind, "__origin__", None) is list or any(_is_list(part) for part in get_args(kind))


def _parse_leniently(data: bytes) -> object:
    """Return the body as Python's json reads it, to look up values for errors; None if it cannot be read."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _refuse_what_json_has_not(data: bytes) -> None:
    """Raise InvalidInput naming the first value that is not JSON, but that some printers write.

    That is NaN, Infinity, or half of a pair of surrogates.
    """
    body = _parse_leniently(data)
    path = _path_of_odd_value(body, "")
    if path is not None:
        value = value_at(body, path)
        if isinstance(value, str):
            shown = value.encode("ascii", "backslashreplace").decode()
            limit = "whole characters: a surrogate such as \\ud83d is one half of a pair"
            raise InvalidInput(f"{path} is {shown[:90]!r}; allowed: {limit}", field=path, value=shown, limit=limit)
        raise InvalidInput(f"{path} is {value}; allowed: {FINITE}", field=path, value=value, limit=FINITE)


def _path_of_odd_value(value: object, path: str) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return path
    if isinstance(value, str) and _SURROGATE.search(value):
        return path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        item_path = f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}".lstrip(".")
        inner = _path_of_odd_value(item, item_path)
        if inner is not None:
            return inner
    return None
