"""Resumable uploads: the tus protocol 1.0 with its extensions creation and termination (https://tus.io/protocols)."""

import base64
import binascii
from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from thatdam_pipelines.errors import UploadError
from thatdam_pipelines.library.uploads import Upload, Uploads
from thatdam_pipelines.web.context import Asking, Shared
from thatdam_pipelines.web.problems import Refusal, problems

VERSION = "1.0.0"
PREFIX = "/api/v1/uploads"
_CONTENT = "application/offset+octet-stream"

router = APIRouter(prefix=PREFIX, tags=["uploads"])

UploadId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
Resumable = Annotated[str | None, Header(alias="Tus-Resumable", description="1.0.0")]


class UploadFacts(BaseModel):
    upload_id: str
    rel_path: str
    group: str
    length: int
    offset: int
    by: str


class UploadList(BaseModel):
    items: list[UploadFacts]


class Arrived(BaseModel):
    """The batches that hold what was uploaded."""

    batches: list[str]


@router.options("", status_code=204)
def tell_protocol(shared: Shared) -> Response:
    """What of the protocol is spoken here."""
    headers = _headers() | {
        "Tus-Version": VERSION,
        "Tus-Extension": "creation,termination",
        "Tus-Max-Size": str(shared.settings.upload_max_bytes),
    }
    return Response(status_code=204, headers=headers)


@router.get("")
def list_uploads(shared: Shared) -> UploadList:
    """Uploads that are not whole yet, or wait for their group."""
    return UploadList(items=[UploadFacts.model_validate(vars(one)) for one in Uploads(shared.settings).all()])


@router.post("", status_code=201, response_class=Response, responses=problems(400, 409, 412, 413, 422))
def create_upload(
    shared: Shared,
    caller: Asking,
    length: Annotated[int, Header(alias="Upload-Length", ge=0, le=2**62)],
    metadata: Annotated[str, Header(alias="Upload-Metadata", max_length=8000)],
    version: Resumable = None,
) -> Response:
    """Begin an upload. Of the metadata `relativePath` or `filename` names the file, `group` what it arrives with."""
    _check_version(version)
    said = _metadata(metadata)
    name = said.get("relativePath") or said.get("filename") or ""
    try:
        upload = Uploads(shared.settings).create(name, said.get("group"), length, caller.name)
    except UploadError as error:
        raise Refusal(422, "upload", f"{error.subject}: {error.cause}", error.next_step) from error
    return Response(status_code=201, headers=_headers(upload) | {"Location": f"{PREFIX}/{upload.upload_id}"})


@router.head("/{upload_id}", responses=problems(404, 412, 422))
def get_offset(shared: Shared, upload_id: UploadId, version: Resumable = None) -> Response:
    """Where to go on."""
    _check_version(version)
    upload = Uploads(shared.settings).get(upload_id)
    return Response(headers=_headers(upload) | {"Upload-Length": str(upload.length)})


@router.patch("/{upload_id}", status_code=204, responses=problems(404, 408, 409, 412, 413, 415, 422))
async def go_on(
    shared: Shared,
    request: Request,
    upload_id: UploadId,
    offset: Annotated[int, Header(alias="Upload-Offset", ge=0, le=2**62)],
    version: Resumable = None,
) -> Response:
    """The next bytes. An upload without a group arrives with the last of them."""
    _check_version(version)
    if request.headers.get("content-type") != _CONTENT:
        raise Refusal(415, "content-type", "this is no part of an upload", f"Send it as {_CONTENT}.")
    uploads = Uploads(shared.settings)
    await _append(request, uploads, uploads.get(upload_id), offset)
    upload = await run_in_threadpool(uploads.get, upload_id)
    headers = _headers(upload)
    if upload.offset == upload.length and upload.group == upload.upload_id:
        batches = await run_in_threadpool(uploads.arrive, shared.library, upload.group)
        headers["Upload-Batches"] = ",".join(batches)
    return Response(status_code=204, headers=headers)


@router.delete("/{upload_id}", status_code=204, responses=problems(404, 412, 422))
def give_up(shared: Shared, upload_id: UploadId, version: Resumable = None) -> Response:
    """Give an upload up."""
    _check_version(version)
    Uploads(shared.settings).remove(upload_id)
    return Response(status_code=204, headers=_headers())


@router.post("/groups/{group}", responses=problems(404, 409, 422))
def let_arrive(shared: Shared, group: Annotated[str, Path(max_length=64)]) -> Arrived:
    """All files of a group are uploaded: they arrive as a drop would, together."""
    return Arrived(batches=Uploads(shared.settings).arrive(shared.library, group))


async def _append(request: Request, uploads: Uploads, upload: Upload, offset: int) -> None:
    body = request.stream()
    with uploads.appending(upload.upload_id, offset) as growing:
        while True:
            try:
                block = await anext(body, b"")
            except ClientDisconnect:
                return
            if not block:
                return
            if growing.tell() + len(block) > upload.length:
                raise Refusal(413, "too-large", f"the upload was said to have {upload.length} bytes", "Begin anew.")
            await run_in_threadpool(growing.write, block)


def _check_version(version: str | None) -> None:
    if version != VERSION:
        raise Refusal(412, "tus-version", f"only tus {VERSION} is spoken here", "Send it.", {"Tus-Version": VERSION})


def _metadata(header: str) -> dict[str, str]:
    said = {}
    for pair in header.split(","):
        key, _, value = pair.strip().partition(" ")
        try:
            said[key] = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Refusal(422, "invalid", "Upload-Metadata is none", "See the tus protocol.") from None
    return said


def _headers(upload: Upload | None = None) -> dict[str, str]:
    return {"Tus-Resumable": VERSION} | ({"Upload-Offset": str(upload.offset)} if upload else {})
