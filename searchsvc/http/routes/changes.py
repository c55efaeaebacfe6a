"""Undo changes, look at changes, account for answers."""

from __future__ import annotations

from typing import Final

from litestar import Response, get, post

from events.point_in_time import parse_point_in_time
from events.sizes import KIB
from searchsvc.changes.audit import AuditEntry
from searchsvc.changes.commands import Commands
from searchsvc.http.body import Body, decode_query
from searchsvc.http.openapi import describe
from searchsvc.http.requests import AnyRequest, author, json_answer
from searchsvc.http.shapes.changes import (
    AuditList,
    AuditQuery,
    ChangedAnswer,
    DifferenceInfo,
    DifferenceQuery,
    RevertInput,
    RollbackInput,
)
from searchsvc.rehearsal.receipts.account import Receipt
from searchsvc.rehearsal.receipts.receipts import Receipts
from searchsvc.rehearsal.receipts.verification import Verification
from searchsvc.service.history import ChangeHistory

ROLLBACK: Final = Body(RollbackInput, max_bytes=4 * KIB)
REVERT: Final = Body(RevertInput, max_bytes=4 * KIB)


@post(
    "/v1/indexes/{index:str}/rollback",
    status_code=200,
    **describe("Set an index back to what it was; live when answered", ROLLBACK, ChangedAnswer),
)
async def rollback(
    commands: Commands, history: ChangeHistory, index: str, request: AnyRequest, body: bytes
) -> Response[bytes]:
    options: RollbackInput = ROLLBACK.decode(body)
    change_author, (field, target) = author(request, options.reason), options.target()
    if field == "to_version":
        changed = await commands.restore_weights(index, int(target), change_author)
    else:
        changed = await commands.restore(index, parse_point_in_time(target, field), field, change_author)
    return json_answer(await ChangedAnswer.from_seq(changed.seq, history))


@post(
    "/v1/changes/{seq:int}/revert",
    status_code=200,
    **describe("Take back one whole change; live when answered", REVERT, ChangedAnswer),
)
async def revert(
    commands: Commands, history: ChangeHistory, seq: int, request: AnyRequest, body: bytes
) -> Response[bytes]:
    options: RevertInput = REVERT.decode(body or b"{}")
    changed = await commands.revert(seq, author(request, options.reason), force=options.force)
    return json_answer(await ChangedAnswer.from_seq(changed.seq, history))


@get("/v1/changes/{seq:int}", **describe("One change: who, when, why, what", None, AuditEntry))
async def get_change(history: ChangeHistory, seq: int) -> Response[bytes]:
    return json_answer(await history.entry(seq))


@get("/v1/audit", **describe("Every change, oldest first", None, AuditList, AuditQuery))
async def get_audit(history: ChangeHistory, request: AnyRequest) -> Response[bytes]:
    query = decode_query(AuditQuery, request.query_params.dict())
    page = await history.page(query.index, query.after, query.limit)
    return json_answer(AuditList(page.entries, history.last_seq, page.next_after))


@get(
    "/v1/indexes/{index:str}/diff",
    **describe("What differs between two moments", None, DifferenceInfo, DifferenceQuery),
)
async def get_difference(history: ChangeHistory, index: str, request: AnyRequest) -> Response[bytes]:
    query = decode_query(DifferenceQuery, request.query_params.dict())
    difference = await history.difference(index, query.since, query.to)
    return json_answer(DifferenceInfo(index, difference.from_seq, difference.to_seq, difference.changed))


@get("/v1/receipts/{query_id:str}", **describe("The full account of an answer", None, Receipt))
async def get_receipt(receipts: Receipts, query_id: str) -> Response[bytes]:
    return json_answer(await receipts.receipt(query_id))


@post(
    "/v1/receipts/{query_id:str}/verify",
    status_code=200,
    **describe("Whether an answer can be reproduced", None, Verification),
)
async def verify_receipt(receipts: Receipts, query_id: str) -> Response[bytes]:
    return json_answer(await receipts.verify(query_id))


ROUTES: Final = (rollback, revert, get_change, get_audit, get_difference, get_receipt, verify_receipt)
