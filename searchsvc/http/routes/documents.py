"""Write, read and delete documents."""

from __future__ import annotations

from typing import Final

from litestar import Response, delete, get, patch, post

from events.sizes import KIB
from searchsvc.http.body import Body
from searchsvc.http.opaque_ids import document_id_of
from searchsvc.http.openapi import describe
from searchsvc.http.requests import AnyRequest, author, json_answer
from searchsvc.http.shapes.documents import DeletionInput, DocumentWrittenAnswer
from searchsvc.service.documents import Documents, DocumentsDeleted, DocumentsWritten

MAX_DOCUMENTS_BYTES: Final = 32 * KIB * KIB
DELETION: Final = Body(DeletionInput, max_bytes=MAX_DOCUMENTS_BYTES)


@post(
    "/v1/indexes/{index:str}/documents",
    status_code=200,
    request_max_body_size=MAX_DOCUMENTS_BYTES,
    **describe("Write documents (NDJSON, or a JSON array); creates the index if it is missing", None, DocumentsWritten),
)
async def post_documents(documents: Documents, index: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    return json_answer(await documents.write(index, body, author(request, "created by a document upload")))


@get("/v1/indexes/{index:str}/documents/{document_id:str}", **describe("One document", None, None))
async def get_document(documents: Documents, index: str, document_id: str) -> Response[bytes]:
    return json_answer(await documents.get(index, document_id_of(document_id)))


@patch(
    "/v1/indexes/{index:str}/documents",
    request_max_body_size=MAX_DOCUMENTS_BYTES,
    **describe("Change members of documents (NDJSON, or a JSON array; each with its id)", None, DocumentsWritten),
)
async def patch_documents(documents: Documents, index: str, body: bytes) -> Response[bytes]:
    return json_answer(await documents.patch(index, body))


@patch(
    "/v1/indexes/{index:str}/documents/{document_id:str}",
    **describe("Change members of a document; null takes one away", None, DocumentWrittenAnswer),
)
async def patch_document(documents: Documents, index: str, document_id: str, body: bytes) -> Response[bytes]:
    return json_answer(DocumentWrittenAnswer(await documents.patch_one(index, document_id_of(document_id), body)))


@delete(
    "/v1/indexes/{index:str}/documents/{document_id:str}",
    status_code=200,
    **describe("Delete a document", None, DocumentWrittenAnswer),
)
async def delete_document(documents: Documents, index: str, document_id: str) -> Response[bytes]:
    return json_answer(DocumentWrittenAnswer(await documents.delete(index, document_id_of(document_id))))


@post(
    "/v1/indexes/{index:str}/documents/delete",
    status_code=200,
    request_max_body_size=MAX_DOCUMENTS_BYTES,
    **describe("Delete documents by their ids or by a filter", DELETION, DocumentsDeleted),
)
async def delete_documents(documents: Documents, index: str, body: bytes) -> Response[bytes]:
    deletion: DeletionInput = DELETION.decode(body)
    condition = deletion.condition()
    if condition is None:
        return json_answer(await documents.delete_listed(index, deletion.ids))
    return json_answer(await documents.delete_matching(index, condition))


ROUTES: Final = (post_documents, patch_documents, get_document, patch_document, delete_document, delete_documents)
