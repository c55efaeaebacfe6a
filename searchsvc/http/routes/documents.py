"""Write, read and delete documents."""

from __future__ import annotations

from typing import Final

from litestar import Response, delete, get, post

from searchsvc.http.opaque_ids import document_id_of
from searchsvc.http.openapi import describe
from searchsvc.http.requests import KIB, AnyRequest, author, json_answer
from searchsvc.http.shapes.documents import DocumentDeletedAnswer, DocumentsAccepted
from searchsvc.service.documents import Documents

MAX_DOCUMENTS_BYTES: Final = 32 * KIB * KIB


@post(
    "/v1/indexes/{index:str}/documents",
    status_code=200,
    request_max_body_size=MAX_DOCUMENTS_BYTES,
    **describe("Write documents (NDJSON); creates the index if it is missing", None, DocumentsAccepted),
)
async def post_documents(documents: Documents, index: str, request: AnyRequest, body: bytes) -> Response[bytes]:
    written = await documents.write(index, body, author(request, "created by a document upload"))
    return json_answer(DocumentsAccepted(written.accepted, written.refused, written.catalog_seq, written.created))


@get("/v1/indexes/{index:str}/documents/{document_id:str}", **describe("One document", None, None))
async def get_document(documents: Documents, index: str, document_id: str) -> Response[bytes]:
    return json_answer(await documents.get(index, document_id_of(document_id)))


@delete(
    "/v1/indexes/{index:str}/documents/{document_id:str}",
    status_code=200,
    **describe("Delete a document", None, DocumentDeletedAnswer),
)
async def delete_document(documents: Documents, index: str, document_id: str) -> Response[bytes]:
    return json_answer(DocumentDeletedAnswer(await documents.delete(index, document_id_of(document_id))))


ROUTES: Final = (post_documents, get_document, delete_document)
