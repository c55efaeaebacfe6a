"""Write, read and delete rules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from litestar import Response, delete, get, put

from events.sizes import KIB
from searchsvc.changes.commands import Commands
from searchsvc.http.body import Body, decode_query
from searchsvc.http.openapi import describe
from searchsvc.http.requests import AnyRequest, author, json_answer
from searchsvc.http.shapes.pages import PageQuery
from searchsvc.http.shapes.rules import DeletionQuery, RuleChangedAnswer, RuleInfo, RuleInput, RuleList
from searchsvc.runtime.pages import named_page
from searchsvc.state.serving import Serving

RULE: Final = Body(RuleInput, max_bytes=512 * KIB)


@get("/v1/indexes/{index:str}/rules", **describe("Rules of an index, by id", None, RuleList, PageQuery))
async def list_rules(serving: Serving, index: str, request: AnyRequest) -> Response[bytes]:
    query = decode_query(PageQuery, request.query_params.dict())
    rules, now = serving.current.control.index(index).rules, datetime.now(UTC)
    page = named_page(rules, lambda name: RuleInfo.from_stored(rules[name], now), query.after, query.limit)
    return json_answer(RuleList(index, page.items, page.next_after))


@get("/v1/indexes/{index:str}/rules/{rule:str}", **describe("One rule", None, RuleInfo))
async def get_rule(serving: Serving, index: str, rule: str) -> Response[bytes]:
    return json_answer(RuleInfo.from_stored(serving.current.control.index(index).rule(rule), datetime.now(UTC)))


@put(
    "/v1/indexes/{index:str}/rules/{rule:str}",
    **describe("Write a whole rule; live when answered", RULE, RuleChangedAnswer),
)
async def put_rule(commands: Commands, index: str, rule: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    change: RuleInput = RULE.decode(body)
    changed = await commands.set_rule(index, rule, change.rule(), change.expected_seq, author(request, change.reason))
    stored = changed.index.rules.get(rule) if changed.index is not None else None
    if stored is None:
        return json_answer(RuleChangedAnswer(changed.seq, None))
    conflicts, cost = await commands.examine_rule(index, rule)
    return json_answer(RuleChangedAnswer(changed.seq, RuleInfo.from_stored(stored, datetime.now(UTC)), conflicts, cost))


@delete(
    "/v1/indexes/{index:str}/rules/{rule:str}",
    status_code=200,
    **describe("Delete a rule", None, RuleChangedAnswer, DeletionQuery),
)
async def delete_rule(commands: Commands, index: str, rule: str, request: AnyRequest) -> Response[bytes]:
    query = decode_query(DeletionQuery, request.query_params.dict())
    changed = await commands.delete_rule(index, rule, query.expected_seq, author(request, query.reason))
    return json_answer(RuleChangedAnswer(changed.seq, None))


ROUTES: Final = (list_rules, get_rule, put_rule, delete_rule)
