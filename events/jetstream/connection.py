"""Whether the server can be reached, subscriptions that lose nothing, and nats-py's errors as ours."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Coroutine
from typing import Any, Final, TypeVar

import nats
import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo

from events.errors import Corrupt, InvalidInput, SearchsvcError, StorageFull, Unavailable

T = TypeVar("T")

MESSAGE_TOO_LARGE: Final = 10054
# How the server says that a stream is full, under the code of whatever prevents it from storing.
NOT_STORED: Final = 10077
FULL: Final = ("maximum bytes exceeded", "maximum messages exceeded")
ACKNOWLEDGE_EVERY: Final = 256
FULL_RETRY_AFTER_S: Final = 10.0
# How long after a loss a call waits for the connection to come back. Later calls are refused at once.
GRACE_S: Final = 2.0


class Connection:
    """Whether the server is reachable now.

    n_reconnects: how often the connection was made, the first time included
    """

    def __init__(self) -> None:
        self.n_reconnects = 0
        self._up = asyncio.Event()
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lost_at = -math.inf

    async def on_disconnect(self) -> None:
        if self._up.is_set():
            self._up.clear()
            self._lost_at = time.monotonic()
            self._lost.set_result(None)

    async def on_connect(self) -> None:
        self.n_reconnects += 1
        self._lost = asyncio.get_running_loop().create_future()
        self._up.set()

    async def call(self, request: Coroutine[Any, Any, T], purpose: str) -> T:
        """Return the result of a request that waits for a reply.

        Raises Unavailable before it is sent if the connection does not come back within `GRACE_S`. Raises it as soon as
        the connection is lost while the request waits, because the reply will not come then.
        """
        if not self._up.is_set():
            try:
                async with asyncio.timeout(max(self._lost_at + GRACE_S - time.monotonic(), 0.0)):
                    await self._up.wait()
            except TimeoutError:
                request.close()
                raise Unavailable(f"{purpose}: the connection to NATS is lost") from None
        pending = asyncio.ensure_future(request)
        try:
            waited_for: list[asyncio.Future[Any]] = [pending, self._lost]
            await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not pending.done():
                pending.cancel()
        if pending.cancelled() or not pending.done():
            raise Unavailable(f"{purpose}: the connection to NATS was lost meanwhile")
        return pending.result()


class Subscription:
    """The messages of a stream, in order and without gaps.

    An ordered consumer of nats-py promises the same, but buffers whatever the server sends: past half a million
    messages it drops some silently. Here acknowledgements limit what is in flight, and sequences are checked.

    n_in_flight: messages that the server sends before it waits for an acknowledgement
    """

    def __init__(self, subscription: JetStreamContext.PushSubscription, n_in_flight: int) -> None:
        self._subscription = subscription
        self._acknowledge_every = max(min(n_in_flight // 4, ACKNOWLEDGE_EVERY), 1)
        self._n_received = 0

    @property
    def n_buffered(self) -> int:
        return self._subscription.pending_msgs

    async def next(self, timeout_s: float) -> Msg:
        """Return the next message.

        Raises nats.errors.TimeoutError if none comes in time, and Unavailable if one is missing.
        """
        message = await self._subscription.next_msg(timeout=timeout_s)
        self._n_received += 1
        if message.metadata.sequence.consumer != self._n_received:
            raise Unavailable(f"message {self._n_received} of a subscription is missing")
        if self._n_received % self._acknowledge_every == 0:
            await message.ack()
        return message

    async def info(self) -> ConsumerInfo:
        return await self._subscription.consumer_info()

    async def close(self) -> None:
        await close_quietly(self._subscription.unsubscribe())


async def close_quietly(closing: Awaitable[None]) -> None:
    """Close something whose server may already be gone: then nothing is left to close."""
    try:
        await closing
    except (TimeoutError, nats.errors.Error, OSError):
        return


def translate(error: BaseException, purpose: str) -> SearchsvcError:
    """Return the project's error for one of nats-py's. A test checks every exception class of the client."""
    detail = str(error) or type(error).__name__
    if isinstance(error, nats.js.errors.APIError) and error.err_code == MESSAGE_TOO_LARGE:
        return InvalidInput(f"{purpose}: {error.description}")
    if isinstance(error, nats.js.errors.APIError) and error.err_code == NOT_STORED and error.description in FULL:
        return StorageFull(f"{purpose}: {error.description}: it is full", retry_after_s=FULL_RETRY_AFTER_S)
    if isinstance(error, nats.errors.MaxPayloadError | nats.errors.BadSubjectError | nats.errors.BadHeaderError):
        return InvalidInput(f"{purpose}: {detail}")
    if isinstance(error, nats.js.errors.ConsumerSequenceMismatchError | nats.js.errors.DigestMismatchError):
        return Corrupt(f"{purpose}: {detail}")
    return Unavailable(f"{purpose}: {detail}")
