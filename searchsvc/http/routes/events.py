"""Record events, look at refused ones, erase users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from litestar import Response, get, post

from events.errors import InvalidInput
from events.sizes import KIB
from searchsvc.behavior.dead_letters import DeadLetters, Replayed
from searchsvc.behavior.intake import EventInput, EventsInput, OnError, RefusedEvent, UncheckedEvents
from searchsvc.http.body import Body, decode_query
from searchsvc.http.openapi import describe
from searchsvc.http.requests import AnyRequest, json_answer
from searchsvc.http.shapes.events import DeadList, DeadQuery, Erased, ErasureInput, EventsAccepted, ReplayInput
from searchsvc.service.interactions import Interactions
from searchsvc.service.privacy import Privacy

EVENTS: Final = Body(EventsInput, max_bytes=512 * KIB)
UNCHECKED: Final = Body(UncheckedEvents, max_bytes=512 * KIB)
EVENT: Final = Body(EventInput, max_bytes=512 * KIB)
REPLAY: Final = Body(ReplayInput, max_bytes=256 * KIB)
ERASURE: Final = Body(ErasureInput, max_bytes=4 * KIB)


@post(
    "/v1/events",
    status_code=202,
    **describe("Record interactions, all or none unless on_error is skip", EVENTS, EventsAccepted),
)
async def events(interactions: Interactions, body: bytes) -> Response[bytes]:
    interactions.require_allowance()
    decoded = _decode(body)
    recorded = await interactions.record(decoded.events, on_error=decoded.on_error)
    return json_answer(EventsAccepted(len(recorded.ids), recorded.ids, recorded.refused), 202)


class _Decoded(NamedTuple):
    """A batch, in which what cannot be decoded is refused already, if the others are to be taken."""

    events: Sequence[EventInput | RefusedEvent]
    on_error: OnError


def _decode(body: bytes) -> _Decoded:
    """Decode a batch of events. Raises InvalidInput and TooLarge."""
    try:
        batch: EventsInput = EVENTS.decode(body)
    except InvalidInput:
        unchecked: UncheckedEvents = UNCHECKED.decode(body)
        if unchecked.on_error == "refuse":
            raise
        return _Decoded([_decode_event(position, raw) for position, raw in enumerate(unchecked.events)], "skip")
    return _Decoded(batch.events, batch.on_error)


def _decode_event(position: int, raw: msgspec.Raw) -> EventInput | RefusedEvent:
    try:
        event: EventInput = EVENT.decode(bytes(raw))
    except InvalidInput as error:
        return RefusedEvent(position, error.field, error.message)
    return event


@get("/v1/dead", **describe("Events that could not be used, and why", None, DeadList, DeadQuery))
async def list_dead(dead_letters: DeadLetters, request: AnyRequest) -> Response[bytes]:
    query = decode_query(DeadQuery, request.query_params.dict())
    page = await dead_letters.page(index=query.index, key=query.key, after=query.after, limit=query.limit)
    return json_answer(DeadList(page.letters, page.next_after, await dead_letters.n_dropped()))


@post("/v1/dead/replay", status_code=200, **describe("Send refused events again", REPLAY, Replayed))
async def replay_dead(dead_letters: DeadLetters, body: bytes) -> Response[bytes]:
    selection: ReplayInput = REPLAY.decode(body)
    replayed = await dead_letters.replay(
        ids=selection.ids, index=selection.index, key=selection.key, after=selection.after
    )
    return json_answer(replayed)


@post("/v1/privacy/erase", status_code=200, **describe("Destroy what ties the log to a user", ERASURE, Erased))
async def erase_user(privacy: Privacy, body: bytes) -> Response[bytes]:
    erasure: ErasureInput = ERASURE.decode(body)
    return json_answer(Erased(await privacy.erase_user(erasure.user_token)))


ROUTES: Final = (events, list_dead, replay_dead, erase_user)
