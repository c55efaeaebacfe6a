"""Bodies of requests that are sent with `Content-Encoding: gzip`."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Final, cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send

from events.errors import InvalidInput, Unavailable, UnsupportedEncoding
from events.sizes import KIB

# Extension of ASGI by which a server counts the bytes that a request holds: see `Counting`.
COUNT_BODY: Final = "searchsvc.count_body"
# What is unpacked at a time.
PIECE_BYTES: Final = 64 * KIB
_OF_PACKED: Final = (b"content-encoding", b"content-length")
_AS_IT_IS: Final = ("", "identity")
_GZIP: Final = ("gzip", "x-gzip")
# Of zlib: a stream with a header and a checksum of gzip.
_GZIP_BITS: Final = 31

# Counts bytes of the request under way; returns False if there is no room for them.
Counting = Callable[[int], bool]


class UnpackedBodies:
    """Unpacks bodies piece by piece, as routes read them.

    So the limit of a route holds for what is unpacked, and of a body that would become gigabytes no more than that is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"content-encoding"]
            encoding = ",".join(values).strip().lower()
            if encoding not in _AS_IT_IS:
                count = (scope.get("extensions") or {}).get(COUNT_BODY, lambda n_bytes: True)
                receive = _Unpacking(receive, encoding, count)  # type: ignore[arg-type]  # that of our server
                # How long it is packed does not matter.
                scope["headers"] = [header for header in scope["headers"] if header[0] not in _OF_PACKED]
        await self._app(scope, receive, send)


class _Unpacking:
    """Receives the messages of a request with its body unpacked. Errors are raised where the body is read.

    Raises UnsupportedEncoding, InvalidInput if the body is not what its encoding says, and Unavailable.
    """

    def __init__(self, receive: Receive, encoding: str, count: Counting) -> None:
        self._receive = receive
        self._encoding = encoding
        self._count = count
        self._stream = zlib.decompressobj(_GZIP_BITS)
        self._packed = b""
        self._is_empty = self._has_more = True
        self._is_whole = False

    async def __call__(self) -> HTTPReceiveMessage:
        if self._encoding not in _GZIP:
            limit = "gzip, or none"
            reason = f"the header Content-Encoding is {self._encoding[:80]!r}; allowed: {limit}"
            raise UnsupportedEncoding(reason, field="Content-Encoding", value=self._encoding, limit=limit)
        if self._is_whole:
            return cast("HTTPReceiveMessage", await self._receive())
        while True:
            if self._has_more and not self._packed:
                message = cast("HTTPReceiveMessage", await self._receive())
                if message["type"] == "http.disconnect":
                    return message
                self._packed, self._has_more = message.get("body", b""), message.get("more_body", False)
                self._is_empty = self._is_empty and not self._packed
            else:
                # Others have their turn: unpacking does not wait for anything.
                await asyncio.sleep(0)
            body = self._next_piece()
            # What did not fit into a whole piece may still be in the stream.
            is_last = not (self._has_more or self._packed or len(body) == PIECE_BYTES)
            if is_last and not (self._stream.eof or self._is_empty):
                raise InvalidInput("the body ends before its gzip does", limit="a whole body")
            if body or is_last:
                self._is_whole = is_last
                return {"type": "http.request", "body": body, "more_body": not is_last}

    def _next_piece(self) -> bytes:
        try:
            body = self._stream.decompress(self._packed, PIECE_BYTES)
        except zlib.error as error:
            raise InvalidInput(f"the body is not gzip: {error}", limit="gzip") from error
        self._packed = self._stream.unconsumed_tail
        if self._stream.eof and self._stream.unused_data:
            # Packed files that stand one after another are one.
            self._packed, self._stream = self._stream.unused_data, zlib.decompressobj(_GZIP_BITS)
        if body and not self._count(len(body)):
            raise Unavailable("the service holds too many requests that are not answered yet")
        return body
