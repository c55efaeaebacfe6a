"""Create, configure, rebuild and delete indexes."""

from __future__ import annotations

from typing import Final

from litestar import Response, delete, get, post, put

from events.sizes import KIB
from searchsvc.http.body import Body, decode_query
from searchsvc.http.openapi import describe
from searchsvc.http.requests import AnyRequest, author, json_answer
from searchsvc.http.shapes.indexes import IndexChanged, IndexInfo, IndexInput, IndexList, ReindexInput
from searchsvc.http.shapes.pages import PageQuery
from searchsvc.indexing.rebuild import RebuildStatus
from searchsvc.runtime.pages import named_page
from searchsvc.service.indexes import IndexAdministration

SETTINGS: Final = Body(IndexInput, max_bytes=256 * KIB)
REINDEX: Final = Body(ReindexInput, max_bytes=4 * KIB)


@get("/v1/indexes", **describe("Indexes, by name", None, IndexList, PageQuery))
async def list_indexes(indexes: IndexAdministration, request: AnyRequest) -> Response[bytes]:
    query = decode_query(PageQuery, request.query_params.dict())
    page = named_page(indexes.names, lambda name: IndexInfo.from_served(indexes.get(name)), query.after, query.limit)
    return json_answer(IndexList(page.items, page.next_after))


@get("/v1/indexes/{index:str}", **describe("One index", None, IndexInfo))
async def get_index(indexes: IndexAdministration, index: str) -> Response[bytes]:
    return json_answer(IndexInfo.from_served(indexes.get(index)))


@put("/v1/indexes/{index:str}", **describe("Create an index or replace its settings", SETTINGS, IndexChanged))
async def put_index(indexes: IndexAdministration, index: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    settings: IndexInput = SETTINGS.decode(body)
    changed = await indexes.configure(index, settings.settings(), author(request, settings.reason))
    return json_answer(IndexChanged(changed.seq, IndexInfo.from_served(indexes.get(index))))


@delete("/v1/indexes/{index:str}", status_code=200, **describe("Delete an index", None, IndexChanged))
async def delete_index(indexes: IndexAdministration, index: str, request: AnyRequest) -> Response[bytes]:
    changed = await indexes.delete(index, author(request, request.query_params.get("reason", "")))
    return json_answer(IndexChanged(changed.seq, None))


@post(
    "/v1/indexes/{index:str}/reindex",
    status_code=202,
    **describe("Rebuild an index from the log; searches go on meanwhile", REINDEX, RebuildStatus),
)
async def reindex(indexes: IndexAdministration, index: str, body: bytes) -> Response[bytes]:
    options: ReindexInput = REINDEX.decode(body or b"{}")
    return json_answer(indexes.rebuild(index, previous=options.previous, force=options.force), 202)


@get("/v1/indexes/{index:str}/reindex", **describe("Status of the last rebuild", None, RebuildStatus))
async def get_reindex(indexes: IndexAdministration, index: str) -> Response[bytes]:
    return json_answer(indexes.last_rebuild(index))


ROUTES: Final = (list_indexes, get_index, put_index, delete_index, reindex, get_reindex)
