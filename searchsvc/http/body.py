"""Strict request decoding with errors that name field, value and limit.

Litestar's own decoding takes "1" for 1 and answers 500 to deep nesting, so handlers take bytes and decode here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from events.errors import InvalidInput, TooLarge

T = TypeVar("T")

_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_WORDS: Final = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
    "datetime": "a time as in RFC 3339",
}
_EXPECTED = re.compile(r"Expected (?P<limit>.+?)(, got .*)?$")


class Body:
    """Decodes the JSON body of one kind of request. max_bytes: larger ones are refused unread."""

    def __init__(self, kind: type[Any], *, max_bytes: int) -> None:
        self.kind = kind
        self.max_bytes = max_bytes
        self._decoder: Final = msgspec.json.Decoder(kind, strict=True)

    def decode(self, data: bytes) -> Any:
        """An instance of `kind`. Raises InvalidInput, or TooLarge."""
        if len(data) > self.max_bytes:
            limit = f"{self.max_bytes} bytes"
            raise TooLarge(f"the body has {len(data)} bytes; allowed: {limit}", value=len(data), limit=limit)
        try:
            return self._decoder.decode(data or b"{}")
        except msgspec.ValidationError as error:
            raise _refusal(str(error), _lenient(data), self.kind) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            _refuse_not_a_number(data)
            raise InvalidInput(f"the body is no JSON: {str(error) or 'nested too deeply'}", limit="JSON") from error


def decode_query(kind: type[T], parameters: Mapping[str, list[str]]) -> T:
    """The same from a URL's query string, where every value is text. Lists have commas in between, or are given again.

    Raises InvalidInput.
    """
    lists = {field.encode_name for field in msgspec.structs.fields(kind) if _is_list(field.type)}  # type: ignore[arg-type]
    for name, values in parameters.items():
        if len(values) > 1 and name not in lists:
            raise InvalidInput(f"{name} is given {len(values)} times", field=name, value=len(values), limit="once")
    single: dict[str, object] = {name: values[0] for name, values in parameters.items()}
    for name in lists & set(single):
        single[name] = [item for value in parameters[name] for item in value.split(",") if item]
    try:
        return msgspec.convert(single, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), single, kind) from error


_LISTS: Final = (msgspec.inspect.ListType, msgspec.inspect.VarTupleType)


def _is_list(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is list


def _refusal(message: str, sent: object, kind: type[Any]) -> InvalidInput:
    at = _AT.search(message)
    path = at["path"] if at else ""
    text = _AT.sub("", message)
    for pattern, limit in ((_UNKNOWN, "a known member"), (_MISSING, "required")):
        found = pattern.search(text)
        if found:
            field = f"{path}.{found['name']}".lstrip(".")
            known = "is not known here" if pattern is _UNKNOWN else "is missing"
            return InvalidInput(f"{field} {known}", field=field, value=_at(sent, field), limit=limit)
    expected = _EXPECTED.search(text)
    limit = _in_words(expected["limit"]) if expected else _in_words(text)
    if text.startswith(("Invalid enum value", "Invalid value")):
        limit = _choices(kind, path)
    value = _at(sent, path)
    shown = json.dumps(value)[:90] if value is not None else "null"
    return InvalidInput(f"{path or 'the body'} is {shown}; allowed: {limit}", field=path, value=value, limit=limit)


def _in_words(limit: str) -> str:
    for name, words in _WORDS.items():
        limit = limit.replace(f"`{name}`", words).replace(f"`{name} | null`", f"{words} or null")
    return limit.replace("`", "")


def _choices(kind: type[Any], path: str) -> str:
    """The values that the literal, or the tag, at a path such as `events[0].type` may have."""
    kinds = _each(msgspec.inspect.type_info(kind))
    for name in re.findall(r"[^.\[\]]+", re.sub(r"\[[^\]]*\]", "[*]", path)):
        structs = [one for one in kinds if isinstance(one, msgspec.inspect.StructType)]
        tags = [str(one.tag) for one in structs if one.tag_field == name]
        if tags:
            return " or ".join(tags)
        fields = [field.type for one in structs for field in one.fields if field.encode_name == name]
        items = [one.item_type for one in kinds if isinstance(one, _LISTS)]
        kinds = [part for found in (items if name == "*" else fields) for part in _each(found)]
    return " or ".join(str(v) for o in kinds if isinstance(o, msgspec.inspect.LiteralType) for v in o.values)


def _each(kind: msgspec.inspect.Type) -> list[msgspec.inspect.Type]:
    """The types of a union, or the one type."""
    return list(kind.types) if isinstance(kind, msgspec.inspect.UnionType) else [kind]


def _refuse_not_a_number(data: bytes) -> None:
    """JSON has no NaN or Infinity, but Python's and JavaScript's printers write them: then name the member."""
    try:
        sent = json.loads(data)
    except (ValueError, RecursionError):
        return
    path = _not_finite(sent, "")
    if path is not None:
        raise InvalidInput(
            f"{path} is {_at(sent, path)}; allowed: a finite number",
            field=path,
            value=_at(sent, path),
            limit="a finite number",
        )


def _not_finite(value: object, path: str) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found = _not_finite(item, f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}".lstrip("."))
        if found is not None:
            return found
    return None


def _lenient(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _at(sent: object, path: str) -> object:
    """The value at `a.b[0].c`; names may hold dots themselves, so the longest name that is there wins."""
    if not path:
        return sent if not isinstance(sent, dict | list) else None
    if isinstance(sent, list):
        index = re.match(r"\[(\d+)\]\.?", path)
        return _at(sent[int(index[1])], path[index.end() :]) if index and int(index[1]) < len(sent) else None
    if isinstance(sent, dict):
        for name in sorted(sent, key=len, reverse=True):
            if path == name or path.startswith((f"{name}.", f"{name}[")):
                return _at(sent[name], path[len(name) :].removeprefix(".")) if path != name else sent[name]
    return None
