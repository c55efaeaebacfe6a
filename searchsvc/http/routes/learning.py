"""Set policies and how indexes learn."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from litestar import Response, get, post, put

from events.sizes import KIB
from searchsvc.changes.commands import Commands
from searchsvc.http.body import Body
from searchsvc.http.openapi import describe
from searchsvc.http.requests import AnyRequest, author, json_answer
from searchsvc.http.shapes.changes import ChangedAnswer
from searchsvc.http.shapes.learning import ForgetInput, LearningInfo, LearningInput, StopInput
from searchsvc.http.shapes.policies import PolicyInfo, PolicyInput
from searchsvc.service.history import ChangeHistory
from searchsvc.service.learning import LearningReports
from searchsvc.service.privacy import Privacy
from searchsvc.state.serving import Serving

POLICY: Final = Body(PolicyInput, max_bytes=64 * KIB)
LEARNING: Final = Body(LearningInput, max_bytes=512 * KIB)
FORGET: Final = Body(ForgetInput, max_bytes=4 * KIB)
STOP: Final = Body(StopInput, max_bytes=4 * KIB)


@get("/v1/indexes/{index:str}/policy", **describe("Who may change an index, when and how far", None, PolicyInfo))
async def get_policy(serving: Serving, index: str) -> Response[bytes]:
    policy, now = serving.current.control.index(index).policy, datetime.now(UTC)
    return json_answer(PolicyInfo(index, policy, any(freeze.holds(now) for freeze in policy.freezes)))


@put("/v1/indexes/{index:str}/policy", **describe("Set the whole policy of an index", POLICY, ChangedAnswer))
async def put_policy(
    commands: Commands, history: ChangeHistory, index: str, request: AnyRequest, body: bytes
) -> Response[bytes]:
    policy: PolicyInput = POLICY.decode(body)
    changed = await commands.set_policy(index, policy.policy(), author(request, policy.reason))
    return json_answer(await ChangedAnswer.from_seq(changed.seq, history))


@get("/v1/indexes/{index:str}/learning", **describe("How an index learns, and how far it is", None, LearningInfo))
async def get_learning(serving: Serving, learning: LearningReports, index: str) -> Response[bytes]:
    control = serving.current.control.index(index)
    return json_answer(LearningInfo(index, control.learning, control.trial, await learning.status(index)))


@put(
    "/v1/indexes/{index:str}/learning",
    **describe("Set how an index learns; a frozen learner goes on", LEARNING, ChangedAnswer),
)
async def put_learning(
    commands: Commands, history: ChangeHistory, index: str, request: AnyRequest, body: bytes
) -> Response[bytes]:
    settings: LearningInput = LEARNING.decode(body)
    changed = await commands.set_learning(index, settings.changed, author(request, settings.reason))
    return json_answer(await ChangedAnswer.from_seq(changed.seq, history))


@post(
    "/v1/indexes/{index:str}/learning/forget",
    status_code=200,
    **describe("Ignore the behavior of a period, and relearn without it", FORGET, ChangedAnswer),
)
async def forget_behavior(
    privacy: Privacy, history: ChangeHistory, index: str, request: AnyRequest, body: bytes
) -> Response[bytes]:
    period: ForgetInput = FORGET.decode(body)
    changed = await privacy.forget_behavior(
        index, period.since, period.until, period.user_token, author(request, period.reason)
    )
    return json_answer(await ChangedAnswer.from_seq(changed.seq, history))


@post(
    "/v1/indexes/{index:str}/learning/stop",
    status_code=200,
    **describe("Stop the trial; the weights in force stay", STOP, ChangedAnswer),
)
async def stop_trial(
    commands: Commands, history: ChangeHistory, index: str, request: AnyRequest, body: bytes
) -> Response[bytes]:
    stop: StopInput = STOP.decode(body or b"{}")
    changed = await commands.stop_trial(index, author(request, stop.reason))
    return json_answer(await ChangedAnswer.from_seq(changed.seq, history))


ROUTES: Final = (get_policy, put_policy, get_learning, put_learning, forget_behavior, stop_trial)
