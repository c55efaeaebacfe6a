"""The routes. Each handler decodes, calls one method of the service and encodes; nothing is decided here."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

import msgspec
from litestar import Litestar, MediaType, Request, Response, delete, get, post, put
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from events.errors import NotFound, SearchsvcError
from searchsvc import __version__
from searchsvc.app.app import App, Health
from searchsvc.behavior.dead_letters import Replayed
from searchsvc.behavior.intake import EventsInput
from searchsvc.changes.audit import AuditEntry
from searchsvc.changes.commands import Author
from searchsvc.changes.drafts import Draft, DraftStatus
from searchsvc.http import shapes
from searchsvc.http.body import Body, decode_query
from searchsvc.http.openapi import describe
from searchsvc.http.problems import answer_problem
from searchsvc.indexing.rebuild import RebuildStatus
from searchsvc.rehearsal.preview import Preview
from searchsvc.rehearsal.receipts import Receipt, Verification
from searchsvc.rehearsal.what_if import WhatIfInput, WhatIfStatus
from searchsvc.search.answer import SearchAnswer, SearchOutcome, SearchRequest, moment
from tuning.weights import MAX_WEIGHT, MIN_WEIGHT

KIB: Final = 1024
SEARCH: Final = Body(SearchRequest, max_bytes=16 * KIB)
EVENTS: Final = Body(EventsInput, max_bytes=512 * KIB)
WEIGHTS: Final = Body(shapes.WeightsInput, max_bytes=64 * KIB)
SETTINGS: Final = Body(shapes.IndexInput, max_bytes=256 * KIB)
RULE: Final = Body(shapes.RuleInput, max_bytes=512 * KIB)
SEGMENT: Final = Body(shapes.SegmentInput, max_bytes=64 * KIB)
DRAFT: Final = Body(shapes.DraftInput, max_bytes=KIB * KIB)
PREVIEW: Final = Body(shapes.PreviewInput, max_bytes=64 * KIB)
WHAT_IF: Final = Body(WhatIfInput, max_bytes=2 * KIB * KIB)
PUBLISH: Final = Body(shapes.PublishInput, max_bytes=4 * KIB)
APPROVE: Final = Body(shapes.ApproveInput, max_bytes=4 * KIB)
SCHEDULE: Final = Body(shapes.ScheduleInput, max_bytes=4 * KIB)
POLICY: Final = Body(shapes.PolicyInput, max_bytes=64 * KIB)
LEARNING: Final = Body(shapes.LearningInput, max_bytes=512 * KIB)
FORGET: Final = Body(shapes.ForgetInput, max_bytes=4 * KIB)
STOP: Final = Body(shapes.StopInput, max_bytes=4 * KIB)
ROLLBACK: Final = Body(shapes.RollbackInput, max_bytes=4 * KIB)
REVERT: Final = Body(shapes.RevertInput, max_bytes=4 * KIB)
REINDEX: Final = Body(shapes.ReindexInput, max_bytes=4 * KIB)
ERASURE: Final = Body(shapes.ErasureInput, max_bytes=4 * KIB)
REPLAY: Final = Body(shapes.ReplayInput, max_bytes=256 * KIB)
MAX_DOCUMENTS_BYTES: Final = 32 * KIB * KIB

AnyRequest = Request[Any, Any, State]
STOREFRONT: Final = {"index.html": MediaType.HTML, "storefront.js": "text/javascript", "storefront.css": MediaType.CSS}
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def _json(answer: object, status_code: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(
        msgspec.json.encode(answer), status_code=status_code, media_type=MediaType.JSON, headers=headers or {}
    )


def _author(request: AnyRequest, reason: str = "") -> Author:
    source = f"http {request.client.host}" if request.client is not None else "http"
    return Author(request.headers.get("X-Searchsvc-Actor", "anonymous"), reason, source)


def _searched(outcome: SearchOutcome) -> Response[bytes]:
    stages = msgspec.structs.asdict(outcome.timings)
    timing = ", ".join(f"{stage};dur={ms:g}" for stage, ms in stages.items())
    return _json(outcome.answer, headers={"Server-Timing": f"{timing}, total;dur={outcome.answer.took_ms:g}"})


@post("/v1/indexes/{index:str}/search", **describe("Search", SEARCH, SearchAnswer))
async def search(app: App, index: str, body: bytes) -> Response[bytes]:
    return _searched(await app.service.search(index, SEARCH.decode(body)))


@get("/v1/indexes/{index:str}/search", **describe("Search, as a link", None, SearchAnswer, SearchRequest))
async def search_link(app: App, index: str, request: AnyRequest) -> Response[bytes]:
    return _searched(await app.service.search(index, decode_query(SearchRequest, request.query_params.dict())))


@get("/v1/indexes/{index:str}/suggest", **describe("Completions", None, shapes.Suggestions, shapes.SuggestQuery))
async def suggest(app: App, index: str, request: AnyRequest) -> Response[bytes]:
    asked = decode_query(shapes.SuggestQuery, request.query_params.dict())
    return _json(shapes.Suggestions(asked.q, await app.service.suggest(index, asked.q, asked.limit)))


@post("/v1/events", status_code=202, **describe("Record interactions, all or none", EVENTS, shapes.EventsAccepted))
async def events(app: App, body: bytes) -> Response[bytes]:
    app.service.require_allowance()
    ids = await app.service.record_events(EVENTS.decode(body).events)
    return _json(shapes.EventsAccepted(len(ids), ids), 202)


@get("/v1/dead", **describe("Events that could not be used, and why", None, shapes.DeadList, shapes.DeadQuery))
async def list_dead(app: App, request: AnyRequest) -> Response[bytes]:
    asked = decode_query(shapes.DeadQuery, request.query_params.dict())
    return _json(shapes.DeadList(await app.service.dead.letters(index=asked.index, key=asked.key)))


@post("/v1/dead/replay", status_code=200, **describe("Send refused events on their way again", REPLAY, Replayed))
async def replay_dead(app: App, body: bytes) -> Response[bytes]:
    given: shapes.ReplayInput = REPLAY.decode(body)
    return _json(await app.service.dead.replay(ids=given.ids, index=given.index, key=given.key))


@post(
    "/v1/privacy/erase",
    status_code=200,
    **describe("Destroy what ties the log to a user", ERASURE, shapes.Erased),
)
async def erase_user(app: App, body: bytes) -> Response[bytes]:
    given: shapes.ErasureInput = ERASURE.decode(body)
    return _json(shapes.Erased(await app.service.erase_user(given.user_token)))


@get("/v1/indexes", **describe("All indexes", None, shapes.IndexList))
async def list_indexes(app: App) -> Response[bytes]:
    names = sorted(app.serving.current.control.indexes)
    return _json(shapes.IndexList([_info(app, name) for name in names]))


@get("/v1/indexes/{index:str}", **describe("One index", None, shapes.IndexInfo))
async def get_index(app: App, index: str) -> Response[bytes]:
    return _json(_info(app, index))


@put("/v1/indexes/{index:str}", **describe("Create an index or replace its settings", SETTINGS, shapes.IndexChanged))
async def put_index(app: App, index: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.IndexInput = SETTINGS.decode(body)
    changed = await app.service.commands.configure_index(index, given.settings(), _author(request, given.reason))
    return _json(shapes.IndexChanged(changed.seq, _info(app, index)))


@delete("/v1/indexes/{index:str}", status_code=200, **describe("Delete an index", None, shapes.IndexChanged))
async def delete_index(app: App, index: str, request: AnyRequest) -> Response[bytes]:
    reason = request.query_params.get("reason", "")
    changed = await app.service.commands.delete_index(index, _author(request, reason))
    return _json(shapes.IndexChanged(changed.seq, None))


@post(
    "/v1/indexes/{index:str}/reindex",
    status_code=202,
    **describe("Build an index anew from the log, beside; searches go on", REINDEX, RebuildStatus),
)
async def reindex(app: App, index: str, body: bytes) -> Response[bytes]:
    given: shapes.ReindexInput = REINDEX.decode(body or b"{}")
    return _json(app.indexers.rebuild(index, previous=given.previous, forced=given.force), 202)


@get("/v1/indexes/{index:str}/reindex", **describe("How far the last reindex is", None, RebuildStatus))
async def get_reindex(app: App, index: str) -> Response[bytes]:
    app.serving.current.control.index(index)
    status = app.indexers.last_rebuild(index)
    if status is None:
        raise NotFound(f"index {index} was not built anew since the service started", field="index", value=index)
    return _json(status)


@post(
    "/v1/indexes/{index:str}/documents",
    status_code=200,
    request_max_body_size=MAX_DOCUMENTS_BYTES,
    **describe("Write documents, NDJSON; creates the index where there is none", None, shapes.DocumentsAccepted),
)
async def post_documents(app: App, index: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    written = await app.service.write_documents(index, body, _author(request, "created by a document upload"))
    return _json(shapes.DocumentsAccepted(written.accepted, written.refused, written.catalog_seq, written.created))


@get("/v1/indexes/{index:str}/documents/{document_id:path}", **describe("One document", None, None))
async def get_document(app: App, index: str, document_id: str) -> Response[bytes]:
    return _json(await app.service.document(index, document_id.removeprefix("/")))


@delete(
    "/v1/indexes/{index:str}/documents/{document_id:path}",
    status_code=200,
    **describe("Delete a document", None, shapes.DocumentDeletedAnswer),
)
async def delete_document(app: App, index: str, document_id: str) -> Response[bytes]:
    seq = await app.service.delete_document(index, document_id.removeprefix("/"))
    return _json(shapes.DocumentDeletedAnswer(seq))


@get("/v1/indexes/{index:str}/weights", **describe("The weights in force", None, shapes.WeightsInfo))
async def get_weights(app: App, index: str) -> Response[bytes]:
    control = app.serving.current.control.index(index)
    return _json(
        shapes.WeightsInfo(
            index,
            control.weights_version,
            dict(control.weights),
            MIN_WEIGHT,
            MAX_WEIGHT,
            dict(control.bounds),
            list(control.locks),
            {name: stored.segment for name, stored in sorted(control.segments.items())},
        )
    )


@put(
    "/v1/indexes/{index:str}/weights",
    **describe("Set weights; live when answered", WEIGHTS, shapes.WeightsChangedAnswer),
)
async def put_weights(app: App, index: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.WeightsInput = WEIGHTS.decode(body)
    author = _author(request, given.reason)
    commands, limits = app.service.commands, given.limits()
    changed = await commands.set_weights(index, given.weights, given.expected_version, author, limits=limits)
    control = changed.index or app.serving.current.control.index(index)
    return _json(shapes.WeightsChangedAnswer(control.weights_version, changed.seq, dict(control.weights)))


@get("/v1/indexes/{index:str}/weights/history", **describe("Every change of the weights", None, shapes.WeightsHistory))
async def get_weights_history(app: App, index: str) -> Response[bytes]:
    history = app.serving.current.control.index(index).history
    return _json(shapes.WeightsHistory(index, list(reversed(history))))


@get("/v1/indexes/{index:str}/segments", **describe("Weights for some searches only", None, shapes.SegmentList))
async def list_segments(app: App, index: str) -> Response[bytes]:
    segments = app.serving.current.control.index(index).segments
    return _json(shapes.SegmentList(index, [shapes.SegmentInfo.of(segments[name]) for name in sorted(segments)]))


@get("/v1/indexes/{index:str}/segments/{segment:str}", **describe("One segment", None, shapes.SegmentInfo))
async def get_segment(app: App, index: str, segment: str) -> Response[bytes]:
    return _json(shapes.SegmentInfo.of(app.serving.current.control.index(index).segment(segment)))


@put(
    "/v1/indexes/{index:str}/segments/{segment:str}",
    **describe("Write a segment, whole; live when answered", SEGMENT, shapes.SegmentChangedAnswer),
)
async def put_segment(app: App, index: str, segment: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.SegmentInput = SEGMENT.decode(body)
    author = _author(request, given.reason)
    changed = await app.service.commands.set_segment(index, segment, given.segment(), author)
    stored = changed.index.segments.get(segment) if changed.index is not None else None
    return _json(shapes.SegmentChangedAnswer(changed.seq, shapes.SegmentInfo.of(stored) if stored else None))


@delete(
    "/v1/indexes/{index:str}/segments/{segment:str}",
    status_code=200,
    **describe("Delete a segment", None, shapes.SegmentChangedAnswer),
)
async def delete_segment(app: App, index: str, segment: str, request: AnyRequest) -> Response[bytes]:
    author = _author(request, request.query_params.get("reason", ""))
    changed = await app.service.commands.delete_segment(index, segment, author)
    return _json(shapes.SegmentChangedAnswer(changed.seq, None))


@get("/v1/indexes/{index:str}/rules", **describe("All rules of an index", None, shapes.RuleList))
async def list_rules(app: App, index: str) -> Response[bytes]:
    rules, now = app.serving.current.control.index(index).rules, datetime.now(UTC)
    return _json(shapes.RuleList(index, [shapes.rule_info(rules[name], now) for name in sorted(rules)]))


@get("/v1/indexes/{index:str}/rules/{rule:str}", **describe("One rule", None, shapes.RuleInfo))
async def get_rule(app: App, index: str, rule: str) -> Response[bytes]:
    return _json(shapes.rule_info(app.serving.current.control.index(index).rule(rule), datetime.now(UTC)))


@put(
    "/v1/indexes/{index:str}/rules/{rule:str}",
    **describe("Write a rule, whole; live when answered", RULE, shapes.RuleChangedAnswer),
)
async def put_rule(app: App, index: str, rule: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.RuleInput = RULE.decode(body)
    author = _author(request, given.reason)
    changed = await app.service.commands.set_rule(index, rule, given.rule(), given.expected_seq, author)
    stored = changed.index.rules.get(rule) if changed.index is not None else None
    if stored is None:
        return _json(shapes.RuleChangedAnswer(changed.seq, None))
    conflicts = app.service.commands.conflicts(index, rule)
    return _json(shapes.RuleChangedAnswer(changed.seq, shapes.rule_info(stored, datetime.now(UTC)), conflicts))


@delete(
    "/v1/indexes/{index:str}/rules/{rule:str}",
    status_code=200,
    **describe("Delete a rule", None, shapes.RuleChangedAnswer, shapes.DeletionQuery),
)
async def delete_rule(app: App, index: str, rule: str, request: AnyRequest) -> Response[bytes]:
    asked = decode_query(shapes.DeletionQuery, request.query_params.dict())
    author = _author(request, asked.reason)
    changed = await app.service.commands.delete_rule(index, rule, asked.expected_seq, author)
    return _json(shapes.RuleChangedAnswer(changed.seq, None))


@get("/v1/indexes/{index:str}/drafts", **describe("Changes that are not published yet", None, shapes.DraftList))
async def list_drafts(app: App, index: str) -> Response[bytes]:
    return _json(shapes.DraftList(index, await app.service.drafts.of(index)))


@get("/v1/indexes/{index:str}/drafts/{draft:str}", **describe("A draft, and what it would do now", None, DraftStatus))
async def get_draft(app: App, index: str, draft: str) -> Response[bytes]:
    return _json(await app.service.drafts.status(index, draft))


@put("/v1/indexes/{index:str}/drafts/{draft:str}", **describe("Write a draft, whole", DRAFT, Draft))
async def put_draft(app: App, index: str, draft: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.DraftInput = DRAFT.decode(body)
    author = _author(request, given.reason)
    return _json(await app.service.drafts.save(index, draft, given.edits, given.expected_version, author))


@delete(
    "/v1/indexes/{index:str}/drafts/{draft:str}",
    status_code=200,
    **describe("Give a draft up", None, shapes.DraftDeletedAnswer),
)
async def delete_draft(app: App, index: str, draft: str, request: AnyRequest) -> Response[bytes]:
    await app.service.drafts.delete(index, draft, _author(request, request.query_params.get("reason", "")))
    return _json(shapes.DraftDeletedAnswer(draft))


@post(
    "/v1/indexes/{index:str}/drafts/{draft:str}/preview",
    status_code=200,
    **describe("Before and after, for some queries", PREVIEW, Preview),
)
async def preview_draft(app: App, index: str, draft: str, body: bytes) -> Response[bytes]:
    given: shapes.PreviewInput = PREVIEW.decode(body)
    return _json(await app.service.preview(index, draft, given.requests()))


@post(
    "/v1/indexes/{index:str}/drafts/{draft:str}/what-if",
    status_code=202,
    **describe("Begin to work out what a draft would do to what shoppers searched for", WHAT_IF, WhatIfStatus),
)
async def begin_what_if(app: App, index: str, draft: str, body: bytes) -> Response[bytes]:
    return _json(await app.what_ifs.begin(index, draft, WHAT_IF.decode(body or b"{}")), 202)


@get(
    "/v1/indexes/{index:str}/drafts/{draft:str}/what-if",
    **describe("How far that is, and what came of it", None, WhatIfStatus),
)
async def get_what_if(app: App, index: str, draft: str) -> Response[bytes]:
    return _json(app.what_ifs.status(index, draft))


@post(
    "/v1/indexes/{index:str}/drafts/{draft:str}/publish",
    status_code=200,
    **describe("Make a draft count, all at once; live when answered", PUBLISH, shapes.ChangedAnswer),
)
async def publish_draft(app: App, index: str, draft: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.PublishInput = PUBLISH.decode(body or b"{}")
    author = _author(request, given.reason)
    changed = await app.service.drafts.publish(index, draft, author, force=given.force)
    return _json(await _difference_made(app, changed.seq))


@post(
    "/v1/indexes/{index:str}/drafts/{draft:str}/approve",
    status_code=200,
    **describe("Want a draft of somebody else published", APPROVE, Draft),
)
async def approve_draft(app: App, index: str, draft: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.ApproveInput = APPROVE.decode(body or b"{}")
    author = _author(request, given.reason)
    return _json(await app.service.drafts.approve(index, draft, given.expected_version, author))


@put(
    "/v1/indexes/{index:str}/drafts/{draft:str}/schedule",
    **describe("Have a draft published at a time", SCHEDULE, Draft),
)
async def schedule_draft(app: App, index: str, draft: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.ScheduleInput = SCHEDULE.decode(body)
    return _json(await app.service.drafts.schedule(index, draft, given.publish_at, _author(request, given.reason)))


@delete(
    "/v1/indexes/{index:str}/drafts/{draft:str}/schedule",
    status_code=200,
    **describe("Publish a draft at no time", None, Draft),
)
async def unschedule_draft(app: App, index: str, draft: str, request: AnyRequest) -> Response[bytes]:
    return _json(await app.service.drafts.unschedule(index, draft, _author(request)))


@get("/v1/indexes/{index:str}/policy", **describe("Who may change an index, when, how far", None, shapes.PolicyInfo))
async def get_policy(app: App, index: str) -> Response[bytes]:
    policy, now = app.serving.current.control.index(index).policy, datetime.now(UTC)
    return _json(shapes.PolicyInfo(index, policy, any(one.holds(now) for one in policy.freezes)))


@put(
    "/v1/indexes/{index:str}/policy",
    **describe("Set who may change an index, whole", POLICY, shapes.ChangedAnswer),
)
async def put_policy(app: App, index: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.PolicyInput = POLICY.decode(body)
    changed = await app.service.commands.set_policy(index, given.policy(), _author(request, given.reason))
    return _json(await _difference_made(app, changed.seq))


@get("/v1/indexes/{index:str}/learning", **describe("How an index learns, and how far", None, shapes.LearningInfo))
async def get_learning(app: App, index: str) -> Response[bytes]:
    control, learners = app.serving.current.control.index(index), app.learners
    status = await learners.status(index) if learners is not None else None
    return _json(shapes.LearningInfo(index, control.learning, control.trial, status))


@put(
    "/v1/indexes/{index:str}/learning",
    **describe("Set how an index learns; a learner that was frozen goes on", LEARNING, shapes.ChangedAnswer),
)
async def put_learning(app: App, index: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.LearningInput = LEARNING.decode(body)
    changed = await app.service.commands.set_learning(index, given.changed, _author(request, given.reason))
    return _json(await _difference_made(app, changed.seq))


@post(
    "/v1/indexes/{index:str}/learning/forget",
    status_code=200,
    **describe("Learn nothing from a time, or a user; what was learnt is learnt anew", FORGET, shapes.ChangedAnswer),
)
async def forget_behavior(app: App, index: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.ForgetInput = FORGET.decode(body)
    author = _author(request, given.reason)
    changed = await app.service.forget_behavior(index, given.since, given.until, given.user_token, author)
    return _json(await _difference_made(app, changed.seq))


@post(
    "/v1/indexes/{index:str}/learning/stop",
    status_code=200,
    **describe("Compare nothing any more; the weights in force stay", STOP, shapes.ChangedAnswer),
)
async def stop_trial(app: App, index: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.StopInput = STOP.decode(body or b"{}")
    changed = await app.service.commands.stop_trial(index, _author(request, given.reason))
    return _json(await _difference_made(app, changed.seq))


@post(
    "/v1/indexes/{index:str}/rollback",
    status_code=200,
    **describe("Set an index as it was; live when answered", ROLLBACK, shapes.ChangedAnswer),
)
async def rollback(app: App, index: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.RollbackInput = ROLLBACK.decode(body)
    author, commands = _author(request, given.reason), app.service.commands
    field, target = given.target()
    if field == "to_version":
        changed = await commands.restore_weights(index, int(target), author)
    else:
        changed = await commands.restore(index, moment(target, field), field, author)
    return _json(await _difference_made(app, changed.seq))


@post(
    "/v1/changes/{seq:int}/revert",
    status_code=200,
    **describe("Take one change back, whole; live when answered", REVERT, shapes.ChangedAnswer),
)
async def revert(app: App, seq: int, request: AnyRequest, body: bytes) -> Response[bytes]:
    given: shapes.RevertInput = REVERT.decode(body or b"{}")
    changed = await app.service.commands.revert(seq, _author(request, given.reason), force=given.force)
    return _json(await _difference_made(app, changed.seq))


@get("/v1/changes/{seq:int}", **describe("One change: who, when, why, from what to what", None, AuditEntry))
async def get_change(app: App, seq: int) -> Response[bytes]:
    return _json(await asyncio.to_thread(app.audit.entry, seq))


@get("/v1/receipts/{query_id:str}", **describe("The full account of an answer", None, Receipt))
async def get_receipt(app: App, query_id: str) -> Response[bytes]:
    return _json(await app.receipts.receipt(query_id))


@post(
    "/v1/receipts/{query_id:str}/verify",
    status_code=200,
    **describe("Whether an answer can be had again", None, Verification),
)
async def verify_receipt(app: App, query_id: str) -> Response[bytes]:
    return _json(await app.receipts.verify(query_id))


@get("/v1/audit", **describe("Every change, oldest first", None, shapes.AuditList, shapes.AuditQuery))
async def get_audit(app: App, request: AnyRequest) -> Response[bytes]:
    asked = decode_query(shapes.AuditQuery, request.query_params.dict())
    entries = await asyncio.to_thread(app.audit.entries, asked.index, asked.after, asked.limit)
    return _json(shapes.AuditList(entries, app.history.seq))


@get(
    "/v1/indexes/{index:str}/diff",
    **describe("What differs between two moments", None, shapes.DifferenceInfo, shapes.DifferenceQuery),
)
async def get_difference(app: App, index: str, request: AnyRequest) -> Response[bytes]:
    asked = decode_query(shapes.DifferenceQuery, request.query_params.dict())
    before, after = (
        moment(one, name) if one else app.history.seq for one, name in ((asked.since, "from"), (asked.to, "to"))
    )
    first, last = (app.history.seq_of(one, name) for one, name in ((before, "from"), (after, "to")))
    found = await asyncio.to_thread(app.audit.between, index, first, last)
    return _json(shapes.DifferenceInfo(index, first, last, found))


@get("/health/live", **describe("Whether the process runs", None, None))
async def health_live() -> Response[bytes]:
    return _json({"status": "live"})


@get("/v1/state", **describe("What is served, as hashes", None, shapes.StateInfo))
async def get_state(app: App) -> Response[bytes]:
    return _json(shapes.state_info(app.serving.current))


@get("/health/ready", **describe("Whether it is fit to answer: 503 while starting, draining or corrupt", None, Health))
async def health_ready(app: App) -> Response[bytes]:
    health = app.health()
    return _json(health, 503 if health.status in ("starting", "draining", "corrupt") else 200)


@get(["/", "/storefront.js", "/storefront.css"], include_in_schema=False)
async def storefront(request: AnyRequest) -> Response[bytes]:
    name = request.url.path.strip("/") or "index.html"
    content = files("searchsvc.storefront").joinpath(name).read_bytes()
    return Response(content, media_type=STOREFRONT[name], headers={**SECURITY_HEADERS, "Cache-Control": "no-cache"})


def build_api(app: App) -> Litestar:
    """The ASGI application of a running `App`."""

    def provide() -> App:
        return app

    return Litestar(
        route_handlers=[
            search,
            search_link,
            suggest,
            events,
            list_indexes,
            get_index,
            put_index,
            delete_index,
            reindex,
            get_reindex,
            post_documents,
            get_document,
            delete_document,
            get_weights,
            put_weights,
            get_weights_history,
            list_segments,
            get_segment,
            put_segment,
            delete_segment,
            list_rules,
            get_rule,
            put_rule,
            delete_rule,
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
            get_receipt,
            verify_receipt,
            get_policy,
            put_policy,
            get_learning,
            put_learning,
            forget_behavior,
            stop_trial,
            rollback,
            revert,
            get_change,
            get_audit,
            get_difference,
            get_state,
            list_dead,
            replay_dead,
            erase_user,
            health_live,
            health_ready,
            storefront,
        ],
        dependencies={"app": Provide(provide, sync_to_thread=False)},
        request_max_body_size=KIB * KIB,
        exception_handlers={SearchsvcError: answer_problem, Exception: answer_problem},
        openapi_config=OpenAPIConfig(
            title="searchsvc", version=__version__, path="/schema", render_plugins=[JsonRenderPlugin()]
        ),
    )


async def _difference_made(app: App, seq: int) -> shapes.ChangedAnswer:
    entry = await asyncio.to_thread(app.audit.entry, seq)
    return shapes.ChangedAnswer(seq, entry.changed)


def _info(app: App, name: str) -> shapes.IndexInfo:
    state = app.serving.current
    indexers = app.indexers
    return shapes.index_info(
        state.control.index(name), state.snapshots.get(name), indexers.failed.get(name, ""), indexers.last_rebuild(name)
    )
