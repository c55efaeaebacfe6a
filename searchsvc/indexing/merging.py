"""Change members of a document and leave its other members as they are, byte for byte. Pure.

Source: JSON Merge Patch, https://www.rfc-editor.org/rfc/rfc7396.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder: Final = msgspec.json.Encoder()


def merged(document: bytes, changes: Mapping[str, object]) -> bytes:
    """Return a document with changed members.

    changes: new values by member; null takes a member away, and an object is merged into the one that is there
    """
    members: dict[str, object] = dict(_members.decode(document))
    for name, value in changes.items():
        if value is None:
            members.pop(name, None)
        else:
            before = members.get(name)
            members[name] = _merged(msgspec.json.decode(before) if isinstance(before, msgspec.Raw) else None, value)
    return _encoder.encode(members)


def _merged(before: object, change: object) -> object:
    if not isinstance(change, dict):
        return change
    result = dict(before) if isinstance(before, dict) else {}
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result
