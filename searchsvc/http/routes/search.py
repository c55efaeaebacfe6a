"""Search and suggest."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import Response, get, post

from events.sizes import KIB
from searchsvc.http.body import Body, decode_query
from searchsvc.http.foreign_pages import READS
from searchsvc.http.openapi import describe
from searchsvc.http.requests import AnyRequest, json_answer
from searchsvc.http.shapes.suggestions import Suggestions, SuggestQuery
from searchsvc.search.answer import SearchAnswer, SearchOutcome
from searchsvc.search.request import SearchRequest
from searchsvc.service.completions import Completions
from searchsvc.service.searches import Searches

SEARCH: Final = Body(SearchRequest, max_bytes=16 * KIB)


def _answer(outcome: SearchOutcome) -> Response[bytes]:
    stages = msgspec.structs.asdict(outcome.timings)
    timing = ", ".join(f"{stage};dur={ms:g}" for stage, ms in stages.items())
    return json_answer(outcome.answer, headers={"Server-Timing": f"{timing}, total;dur={outcome.answer.took_ms:g}"})


@post("/v1/indexes/{index:str}/search", opt={READS: True}, **describe("Search", SEARCH, SearchAnswer))
async def search(searches: Searches, index: str, body: bytes) -> Response[bytes]:
    return _answer(await searches.search(index, SEARCH.decode(body)))


@get("/v1/indexes/{index:str}/search", **describe("Search, as a link", None, SearchAnswer, SearchRequest))
async def search_link(searches: Searches, index: str, request: AnyRequest) -> Response[bytes]:
    return _answer(await searches.search(index, decode_query(SearchRequest, request.query_params.dict())))


@get("/v1/indexes/{index:str}/suggest", **describe("Complete a query", None, Suggestions, SuggestQuery))
async def suggest(completions: Completions, index: str, request: AnyRequest) -> Response[bytes]:
    query = decode_query(SuggestQuery, request.query_params.dict())
    return json_answer(Suggestions(query.q, await completions.suggest(index, query.q, query.limit)))


ROUTES: Final = (search, search_link, suggest)
