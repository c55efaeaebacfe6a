"""Set weights, for all searches or for a segment of them."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import Response, delete, get, put

from events.index_control import WeightsChange
from events.sizes import KIB
from searchsvc.changes.commands import Commands
from searchsvc.http.body import Body, decode_query
from searchsvc.http.openapi import describe
from searchsvc.http.requests import AnyRequest, author, json_answer
from searchsvc.http.shapes.pages import PageQuery
from searchsvc.http.shapes.weights import (
    HistoryQuery,
    SegmentChangedAnswer,
    SegmentInfo,
    SegmentInput,
    SegmentList,
    WeightsChangedAnswer,
    WeightsHistory,
    WeightsInfo,
    WeightsInput,
)
from searchsvc.runtime.pages import Page, named_page
from searchsvc.state.serving import Serving
from tuning.weights import MAX_WEIGHT, MIN_WEIGHT

WEIGHTS: Final = Body(WeightsInput, max_bytes=64 * KIB)
SEGMENT: Final = Body(SegmentInput, max_bytes=64 * KIB)


@get("/v1/indexes/{index:str}/weights", **describe("The weights in force", None, WeightsInfo))
async def get_weights(serving: Serving, index: str) -> Response[bytes]:
    control = serving.current.control.index(index)
    weights = WeightsInfo(
        index=index,
        version=control.weights_version,
        weights=dict(control.weights),
        min_weight=MIN_WEIGHT,
        max_weight=MAX_WEIGHT,
        bounds=dict(control.bounds),
        locks=list(control.locks),
        segments={name: stored.segment for name, stored in sorted(control.segments.items())},
    )
    return json_answer(weights)


@put("/v1/indexes/{index:str}/weights", **describe("Set weights; live when answered", WEIGHTS, WeightsChangedAnswer))
async def put_weights(
    commands: Commands, serving: Serving, index: str, request: AnyRequest, body: bytes
) -> Response[bytes]:
    change: WeightsInput = WEIGHTS.decode(body)
    changed = await commands.set_weights(
        index, change.weights, change.expected_version, author(request, change.reason), limits=change.limits()
    )
    control = changed.index or serving.current.control.index(index)
    return json_answer(WeightsChangedAnswer(control.weights_version, changed.seq, dict(control.weights)))


@get(
    "/v1/indexes/{index:str}/weights/history",
    **describe("Changes of the weights, newest first", None, WeightsHistory, HistoryQuery),
)
async def get_weights_history(serving: Serving, index: str, request: AnyRequest) -> Response[bytes]:
    query = decode_query(HistoryQuery, request.query_params.dict())
    page = Page[WeightsChange](query.limit)
    for change in reversed(serving.current.control.index(index).history):
        is_past = query.after is None or change.version < query.after
        if is_past and not page.add(change, len(msgspec.json.encode(change))):
            return json_answer(WeightsHistory(index, page.items, page.items[-1].version))
    return json_answer(WeightsHistory(index, page.items))


@get("/v1/indexes/{index:str}/segments", **describe("Segments of an index, by id", None, SegmentList, PageQuery))
async def list_segments(serving: Serving, index: str, request: AnyRequest) -> Response[bytes]:
    query = decode_query(PageQuery, request.query_params.dict())
    segments = serving.current.control.index(index).segments
    page = named_page(segments, lambda name: SegmentInfo.from_stored(segments[name]), query.after, query.limit)
    return json_answer(SegmentList(index, page.items, page.next_after))


@get("/v1/indexes/{index:str}/segments/{segment:str}", **describe("One segment", None, SegmentInfo))
async def get_segment(serving: Serving, index: str, segment: str) -> Response[bytes]:
    return json_answer(SegmentInfo.from_stored(serving.current.control.index(index).segment(segment)))


@put(
    "/v1/indexes/{index:str}/segments/{segment:str}",
    **describe("Write a whole segment; live when answered", SEGMENT, SegmentChangedAnswer),
)
async def put_segment(
    commands: Commands, index: str, segment: str, request: AnyRequest, body: bytes
) -> Response[bytes]:
    change: SegmentInput = SEGMENT.decode(body)
    changed = await commands.set_segment(index, segment, change.segment(), author(request, change.reason))
    stored = changed.index.segments.get(segment) if changed.index is not None else None
    return json_answer(SegmentChangedAnswer(changed.seq, SegmentInfo.from_stored(stored) if stored else None))


@delete(
    "/v1/indexes/{index:str}/segments/{segment:str}",
    status_code=200,
    **describe("Delete a segment", None, SegmentChangedAnswer),
)
async def delete_segment(commands: Commands, index: str, segment: str, request: AnyRequest) -> Response[bytes]:
    changed = await commands.delete_segment(index, segment, author(request, request.query_params.get("reason", "")))
    return json_answer(SegmentChangedAnswer(changed.seq, None))


ROUTES: Final = (
    get_weights,
    put_weights,
    get_weights_history,
    list_segments,
    get_segment,
    put_segment,
    delete_segment,
)
