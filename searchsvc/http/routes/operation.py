"""Health, the state that is served, and the storefront."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from litestar import MediaType, Response, get

from searchsvc.app.health import Health, HealthCheck
from searchsvc.http.openapi import describe
from searchsvc.http.requests import AnyRequest, json_answer
from searchsvc.state.serving import Serving
from searchsvc.state.state_info import StateInfo

UNAVAILABLE: Final = ("starting", "draining", "corrupt")
STOREFRONT: Final = {"index.html": MediaType.HTML, "storefront.js": "text/javascript", "storefront.css": MediaType.CSS}
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@get("/health/live", **describe("Whether the process runs", None, None))
async def health_live() -> Response[bytes]:
    return json_answer({"status": "live"})


@get(
    "/health/ready",
    **describe("Whether the service can answer: 503 while starting, draining or corrupt", None, Health),
)
async def health_ready(health: HealthCheck) -> Response[bytes]:
    state = health()
    return json_answer(state, 503 if state.status in UNAVAILABLE else 200)


@get("/v1/state", **describe("What is served, as hashes", None, StateInfo))
async def get_state(serving: Serving) -> Response[bytes]:
    return json_answer(StateInfo.from_state(serving.current))


@get(["/", "/storefront.js", "/storefront.css"], include_in_schema=False)
async def storefront(request: AnyRequest) -> Response[bytes]:
    name = request.url.path.strip("/") or "index.html"
    content = files("searchsvc.storefront").joinpath(name).read_bytes()
    return Response(content, media_type=STOREFRONT[name], headers={**SECURITY_HEADERS, "Cache-Control": "no-cache"})


ROUTES: Final = (health_live, health_ready, get_state, storefront)
