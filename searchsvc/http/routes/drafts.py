"""Write, preview, approve, schedule and publish drafts."""

from __future__ import annotations

from typing import Final

from litestar import Response, delete, get, post, put

from events.sizes import KIB
from searchsvc.changes.draft import Draft, DraftStatus
from searchsvc.changes.drafts import Drafts
from searchsvc.http.body import Body, decode_query
from searchsvc.http.openapi import describe
from searchsvc.http.requests import AnyRequest, author, json_answer
from searchsvc.http.shapes.changes import ChangedAnswer
from searchsvc.http.shapes.drafts import (
    ApproveInput,
    DraftDeletedAnswer,
    DraftInput,
    DraftList,
    PreviewInput,
    PublishInput,
    ScheduleInput,
)
from searchsvc.http.shapes.pages import PageQuery
from searchsvc.rehearsal.preview import Preview
from searchsvc.rehearsal.what_if.report import WhatIfInput, WhatIfStatus
from searchsvc.rehearsal.what_if.what_ifs import WhatIfs
from searchsvc.runtime.pages import named_page
from searchsvc.service.history import ChangeHistory
from searchsvc.service.previews import Previews

DRAFT: Final = Body(DraftInput, max_bytes=KIB * KIB)
PREVIEW: Final = Body(PreviewInput, max_bytes=64 * KIB)
WHAT_IF: Final = Body(WhatIfInput, max_bytes=2 * KIB * KIB)
PUBLISH: Final = Body(PublishInput, max_bytes=4 * KIB)
APPROVE: Final = Body(ApproveInput, max_bytes=4 * KIB)
SCHEDULE: Final = Body(ScheduleInput, max_bytes=4 * KIB)


@get("/v1/indexes/{index:str}/drafts", **describe("Drafts of an index, by id", None, DraftList, PageQuery))
async def list_drafts(drafts: Drafts, index: str, request: AnyRequest) -> Response[bytes]:
    query = decode_query(PageQuery, request.query_params.dict())
    by_id = {draft.id: draft for draft in await drafts.drafts_of(index)}
    page = named_page(by_id, by_id.__getitem__, query.after, query.limit)
    return json_answer(DraftList(index, page.items, page.next_after))


@get("/v1/indexes/{index:str}/drafts/{draft:str}", **describe("A draft, and what it would change", None, DraftStatus))
async def get_draft(drafts: Drafts, index: str, draft: str) -> Response[bytes]:
    return json_answer(await drafts.status(index, draft))


@put("/v1/indexes/{index:str}/drafts/{draft:str}", **describe("Write a whole draft", DRAFT, Draft))
async def put_draft(drafts: Drafts, index: str, draft: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    content: DraftInput = DRAFT.decode(body)
    saved = await drafts.save(index, draft, content.edits, content.expected_version, author(request, content.reason))
    return json_answer(saved)


@delete(
    "/v1/indexes/{index:str}/drafts/{draft:str}",
    status_code=200,
    **describe("Delete a draft", None, DraftDeletedAnswer),
)
async def delete_draft(drafts: Drafts, index: str, draft: str, request: AnyRequest) -> Response[bytes]:
    await drafts.delete(index, draft, author(request, request.query_params.get("reason", "")))
    return json_answer(DraftDeletedAnswer(draft))


@post(
    "/v1/indexes/{index:str}/drafts/{draft:str}/preview",
    status_code=200,
    **describe("Some queries before and after a draft", PREVIEW, Preview),
)
async def preview_draft(previews: Previews, index: str, draft: str, body: bytes) -> Response[bytes]:
    queries: PreviewInput = PREVIEW.decode(body)
    return json_answer(await previews.preview(index, draft, queries.requests()))


@post(
    "/v1/indexes/{index:str}/drafts/{draft:str}/what-if",
    status_code=202,
    **describe("Start to repeat logged searches with a draft", WHAT_IF, WhatIfStatus),
)
async def begin_what_if(what_ifs: WhatIfs, index: str, draft: str, body: bytes) -> Response[bytes]:
    return json_answer(await what_ifs.begin(index, draft, WHAT_IF.decode(body or b"{}")), 202)


@get(
    "/v1/indexes/{index:str}/drafts/{draft:str}/what-if",
    **describe("Status and report of that", None, WhatIfStatus),
)
async def get_what_if(what_ifs: WhatIfs, index: str, draft: str) -> Response[bytes]:
    return json_answer(what_ifs.status(index, draft))


@post(
    "/v1/indexes/{index:str}/drafts/{draft:str}/publish",
    status_code=200,
    **describe("Publish a draft as one change; live when answered", PUBLISH, ChangedAnswer),
)
async def publish_draft(
    drafts: Drafts, history: ChangeHistory, index: str, draft: str, request: AnyRequest, body: bytes
) -> Response[bytes]:
    options: PublishInput = PUBLISH.decode(body or b"{}")
    changed = await drafts.publish(index, draft, author(request, options.reason), force=options.force)
    return json_answer(await ChangedAnswer.from_seq(changed.seq, history))


@post(
    "/v1/indexes/{index:str}/drafts/{draft:str}/approve",
    status_code=200,
    **describe("Approve another person's draft", APPROVE, Draft),
)
async def approve_draft(drafts: Drafts, index: str, draft: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    approval: ApproveInput = APPROVE.decode(body or b"{}")
    approver = author(request, approval.reason)
    return json_answer(await drafts.approve(index, draft, approval.expected_version, approver))


@put(
    "/v1/indexes/{index:str}/drafts/{draft:str}/schedule",
    **describe("Schedule when a draft is published", SCHEDULE, Draft),
)
async def schedule_draft(drafts: Drafts, index: str, draft: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    schedule: ScheduleInput = SCHEDULE.decode(body)
    scheduler = author(request, schedule.reason)
    return json_answer(await drafts.schedule(index, draft, schedule.publish_at, scheduler))


@delete(
    "/v1/indexes/{index:str}/drafts/{draft:str}/schedule",
    status_code=200,
    **describe("Cancel the schedule of a draft", None, Draft),
)
async def unschedule_draft(drafts: Drafts, index: str, draft: str, request: AnyRequest) -> Response[bytes]:
    return json_answer(await drafts.unschedule(index, draft, author(request)))


ROUTES: Final = (
    list_drafts,
    get_draft,
    put_draft,
    delete_draft,
    preview_draft,
    begin_what_if,
    get_what_if,
    publish_draft,
    approve_draft,
    schedule_draft,
    unschedule_draft,
)
