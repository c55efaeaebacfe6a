"""Describe routes for OpenAPI. Handlers take bytes, so the schemas come from the structs that decode them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, Parameter, RequestBody

from searchsvc.http.body import Body
from searchsvc.http.problems import MEDIA_TYPE, Problem


def describe(
    summary: str, body: Body | None, answer: type[Any] | None, query: type[Any] | None = None
) -> dict[str, Any]:
    """Return keyword arguments for a route decorator.

    body: decodes the request; None without a body
    answer: struct of the answer; None for any JSON
    query: struct whose members are query parameters
    """

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            # Runs when the document is first read: the schemas of all routes would cost a start a tenth of a second.
            status = next(iter(self.responses or {}), "200")
            self.responses = {
                status: _response("the answer", answer, "application/json"),
                "default": _response("a problem document (RFC 9457)", Problem, MEDIA_TYPE),
            }
            if body is not None:
                content = {"application/json": OpenAPIMediaType(schema=_schema(body.kind))}
                self.request_body = RequestBody(content=content, required=True)
            if query is not None:
                fields = msgspec.structs.fields(query)
                parameters = [Parameter(field.name, "query", schema=_schema(field.type)) for field in fields]
                self.parameters = [*(self.parameters or []), *parameters]

    return {"summary": summary, "operation_class": Described}


def _response(description: str, kind: type[Any] | None, media_type: str) -> OpenAPIResponse:
    content = {media_type: OpenAPIMediaType(schema=_schema(kind))} if kind is not None else None
    return OpenAPIResponse(description=description, content=content)


def _schema(kind: Any) -> Any:
    """Return a JSON schema without references, so that any reader of the document can resolve it."""
    (schema,), components = msgspec.json.schema_components([kind], schema_hook=_anything, ref_template="{name}")
    return _inlined(schema, components)


def _anything(kind: Any) -> dict[str, Any]:
    """Return the schema of `object`: any JSON value."""
    if kind is object:
        return {"description": "any JSON value"}
    raise NotImplementedError(f"a schema for {kind}")


def _inlined(schema: Any, components: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(item, components) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(components[schema["$ref"]], components)
    return {name: _inlined(value, components) for name, value in schema.items()}
