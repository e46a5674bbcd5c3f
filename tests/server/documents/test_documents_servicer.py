"""The contract's messages over a real channel, through the real pipeline."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import google_crc32c
import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2, status_pb2
from prometheus_client import CollectorRegistry

from support.documents_world import MIB, World, pdf_of, rendition_of
from zegel.document.v1 import document_service_pb2 as pb
from zegel.document.v1.document_service_pb2_grpc import DocumentServiceStub
from zegel_server.caller import Caller, Origin, Scope
from zegel_server.documents.servicer import CODECS, DocumentServicer
from zegel_server.edge import watching
from zegel_server.edge.endpoints import endpoints_of
from zegel_server.edge.grpc_adapter.server import Server
from zegel_server.edge.idempotency import Answers
from zegel_server.edge.methods import Method, read_contracts
from zegel_server.edge.pipeline import Pipeline
from zegel_server.edge.telemetry import Telemetry
from zegel_server.errors import ZegelError

TOKEN = (("authorization", "Bearer owner"),)
SERVICE = pb.DESCRIPTOR.services_by_name["DocumentService"]


@pytest.fixture
async def stub(sqlite_world: World) -> AsyncIterator[DocumentServiceStub]:
    """A client of a server whose every caller is the same member."""
    caller = sqlite_world.member(Scope.OWN)

    async def authenticate(token: str, origin: Origin, certificate: bytes | None) -> Caller:
        return caller

    async def refused(caller: Caller, method: Method, error: ZegelError) -> None:
        return None

    telemetry = Telemetry(CollectorRegistry())
    server = Server(Pipeline(authenticate, telemetry, refused), None)
    world = sqlite_world
    servicer = DocumentServicer(Answers(world.database, world.keys), world.documents, world.uploads, world.downloads)
    server.add(SERVICE.full_name, endpoints_of(SERVICE, servicer, read_contracts([SERVICE]), CODECS))
    port = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield DocumentServiceStub(channel)
    await server.stop(0)


def chunk(data: bytes, offset: int = 0) -> pb.Chunk:
    return pb.Chunk(offset=offset, data=data, crc32c=google_crc32c.value(data))


def end(data: bytes) -> pb.FinishUpload:
    return pb.FinishUpload(size=len(data), sha256=hashlib.sha256(data).digest())


def whole(data: bytes, **target: Any) -> list[pb.UploadDocumentRequest]:
    first = pb.UploadDocumentRequest(**target)
    chunks = [
        pb.UploadDocumentRequest(chunk=chunk(data[offset : offset + MIB], offset))
        for offset in range(0, len(data), MIB)
    ]
    return [first, *chunks, pb.UploadDocumentRequest(finish=end(data))]


async def upload(stub: Any, data: bytes, **target: Any) -> pb.Document:
    answer = await stub.UploadDocument(whole(data, **target), metadata=TOKEN)
    document: pb.Document = answer.document
    return document


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    trailing: Any = refused.value.trailing_metadata()
    (details,) = [value for key, value in trailing if key == "grpc-status-details-bin"]
    status = status_pb2.Status.FromString(details)
    assert [each.type_url.rpartition(".")[2] for each in status.details] in (["ErrorInfo"], ["ErrorInfo", "BadRequest"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return refused.value.code(), info.reason, dict(info.metadata)


async def test_the_way_of_a_document(stub: Any) -> None:
    data = pdf_of(6 * MIB)
    document = await upload(stub, data, spec=pb.UploadSpec(title="Lease"))
    assert (document.title, document.state) == ("Lease", pb.DOCUMENT_STATE_ACTIVE)
    (version,) = document.versions
    assert (version.version, version.size, version.sha256) == (1, len(data), hashlib.sha256(data).digest())
    assert (version.media_type, list(version.pages)) == ("application/pdf", [pb.Page(width=595, height=842)])
    assert version.create_time.seconds > 0
    shown = rendition_of(data)
    assert version.rendition == pb.DocumentRendition(size=len(shown), sha256=hashlib.sha256(shown).digest())
    assert version.findings == pb.DocumentFindings(pdf_version="1.7", has_form=True)
    assert document.HasField("create_time")
    assert not document.HasField("delete_time")

    got = await stub.GetDocument(pb.GetDocumentRequest(document_id=document.document_id), metadata=TOKEN)
    assert got.document == document

    request = pb.DownloadDocumentRequest(document_id=document.document_id, read_offset=-2 * MIB, read_limit=MIB + 5)
    messages = [message async for message in stub.DownloadDocument(request, metadata=TOKEN)]
    assert messages[0].start == pb.DownloadStart(
        document_id=document.document_id,
        version=version,
        offset=4 * MIB,
        length=MIB + 5,
        content=pb.DOCUMENT_CONTENT_ORIGINAL,
        size=len(data),
        sha256=hashlib.sha256(data).digest(),
    )
    assert b"".join(message.chunk.data for message in messages[1:]) == data[4 * MIB : 5 * MIB + 5]
    assert all(google_crc32c.value(each.chunk.data) == each.chunk.crc32c for each in messages[1:])

    sent = pb.Document(document_id=document.document_id, title="Sublease", etag=document.etag)
    change = pb.UpdateDocumentRequest(document=sent, update_mask=FieldMask(paths=["title"]))
    renamed = await stub.UpdateDocument(change, metadata=TOKEN)
    assert renamed.document.title == "Sublease"
    assert await refusal(stub.UpdateDocument(change, metadata=TOKEN)) == (
        grpc.StatusCode.ABORTED,
        "ETAG_MISMATCH",
        {},
    )
    deleted = await stub.DeleteDocument(pb.DeleteDocumentRequest(document_id=document.document_id), metadata=TOKEN)
    assert deleted.document.HasField("delete_time")
    back = await stub.UndeleteDocument(pb.UndeleteDocumentRequest(document_id=document.document_id), metadata=TOKEN)
    assert back.document.state == pb.DOCUMENT_STATE_ACTIVE
    await stub.DeleteDocument(pb.DeleteDocumentRequest(document_id=document.document_id), metadata=TOKEN)
    purged = await stub.PurgeDocument(pb.PurgeDocumentRequest(document_id=document.document_id), metadata=TOKEN)
    assert purged.document.state == pb.DOCUMENT_STATE_PURGED
    code, reason, _ = await refusal(stub.DownloadDocument(request, metadata=TOKEN).read())
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DOCUMENT_DESTROYED")


async def test_a_stream_ends_with_its_document(stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "RECHECK_S", 0.02)
    document = await upload(stub, pdf_of(24 * MIB), spec=pb.UploadSpec(title="Lease"))
    call = stub.DownloadDocument(pb.DownloadDocumentRequest(document_id=document.document_id), metadata=TOKEN)
    answers = aiter(call)
    await anext(answers)
    await stub.DeleteDocument(pb.DeleteDocumentRequest(document_id=document.document_id), metadata=TOKEN)

    async def read_on() -> None:
        async for _ in answers:
            await asyncio.sleep(0.05)  # what reads slowly holds the server back

    code, reason, _ = await refusal(read_on())
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DOCUMENT_DESTROYED")


async def test_a_started_upload_is_one_however_often_it_is_started(stub: Any) -> None:
    request = pb.StartUploadRequest(spec=pb.UploadSpec(title="Lease"), request_id="r-1")
    first = await stub.StartUpload(request, metadata=TOKEN)
    assert await stub.StartUpload(request, metadata=TOKEN) == first
    request.spec.title = "Another"
    assert (await refusal(stub.StartUpload(request, metadata=TOKEN)))[1] == "REQUEST_ID_REUSED"
    other = pb.StartUploadRequest(spec=pb.UploadSpec(title="Lease"), request_id="r-2")
    assert (await stub.StartUpload(other, metadata=TOKEN)).upload.upload_id != first.upload.upload_id

    data = pdf_of(5 * MIB)
    cut = whole(data, upload_id=first.upload.upload_id)[:-1]
    answer = await stub.UploadDocument(cut, metadata=TOKEN)
    assert not answer.HasField("document")
    got = await stub.GetUpload(pb.GetUploadRequest(upload_id=first.upload.upload_id), metadata=TOKEN)
    assert got.upload == answer.upload
    assert 0 < got.upload.persisted_size < len(data)
    document = await upload(stub, data, upload_id=first.upload.upload_id)
    assert document.document_id == first.upload.document_id


async def test_refusals_name_the_field(stub: Any) -> None:
    data = pdf_of(100)
    wrong = [
        pb.UploadDocumentRequest(spec=pb.UploadSpec(title="x")),
        pb.UploadDocumentRequest(chunk=pb.Chunk(data=data)),
    ]
    assert await refusal(stub.UploadDocument(wrong, metadata=TOKEN)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "CHECKSUM_MISMATCH",
        {"field": "chunk.crc32c"},
    )
    late = [pb.UploadDocumentRequest(spec=pb.UploadSpec(title="x")), pb.UploadDocumentRequest(chunk=chunk(data, 7))]
    assert await refusal(stub.UploadDocument(late, metadata=TOKEN)) == (
        grpc.StatusCode.ABORTED,
        "OFFSET_MISMATCH",
        {"expected_offset": "0"},
    )
    nothing = await refusal(stub.StartUpload(pb.StartUploadRequest(), metadata=TOKEN))
    assert nothing == (grpc.StatusCode.INVALID_ARGUMENT, "MISSING_FIELD", {"field": "spec.title"})
    missing = pb.UpdateDocumentRequest(update_mask=FieldMask(paths=["owner_id"]))
    assert (await refusal(stub.UpdateDocument(missing, metadata=TOKEN)))[2] == {"field": "update_mask"}


async def test_lists_are_paged_to_their_end(stub: Any) -> None:
    made = [(await upload(stub, pdf_of(50), spec=pb.UploadSpec(title=f"{n}"))).document_id for n in range(5)]
    found: list[str] = []
    request = pb.ListDocumentsRequest(page_size=2)
    while True:
        page = await stub.ListDocuments(request, metadata=TOKEN)
        found += [document.document_id for document in page.documents]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == made[::-1]
    request.page_token = "nonsense"
    assert (await refusal(stub.ListDocuments(request, metadata=TOKEN)))[1] == "INVALID_PAGE_TOKEN"
    short = await stub.ListDocuments(pb.ListDocumentsRequest(page_size=5), metadata=TOKEN)
    assert not short.next_page_token


async def test_a_list_shows_what_its_mask_names(stub: Any) -> None:
    document = await upload(stub, pdf_of(50), spec=pb.UploadSpec(title="Lease"))
    summary = pb.Document()
    summary.CopyFrom(document)
    summary.ClearField("versions")
    for paths, shown in (
        ([], summary),
        (["*"], document),
        (["versions"], pb.Document(versions=document.versions)),
        (["title", "etag"], pb.Document(title="Lease", etag=document.etag)),
    ):
        request = pb.ListDocumentsRequest(read_mask=FieldMask(paths=paths))
        assert list((await stub.ListDocuments(request, metadata=TOKEN)).documents) == [shown]
    for bad in (["versions.pages"], ["title", "*"], [""], ["Title"]):
        request = pb.ListDocumentsRequest(read_mask=FieldMask(paths=bad))
        refused = await refusal(stub.ListDocuments(request, metadata=TOKEN))
        assert refused == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", {"field": "read_mask"})


async def test_what_has_ended_says_when(stub: Any) -> None:
    started = await stub.StartUpload(pb.StartUploadRequest(spec=pb.UploadSpec(title="Lease")), metadata=TOKEN)
    assert not started.upload.HasField("end_time")
    document = await upload(stub, pdf_of(50), upload_id=started.upload.upload_id)
    assert not document.HasField("end_time")
    finished = await stub.GetUpload(pb.GetUploadRequest(upload_id=started.upload.upload_id), metadata=TOKEN)
    assert finished.upload.end_time == document.versions[0].create_time
    name = document.document_id
    deleted = (await stub.DeleteDocument(pb.DeleteDocumentRequest(document_id=name), metadata=TOKEN)).document
    assert not deleted.HasField("end_time")
    purged = (await stub.PurgeDocument(pb.PurgeDocumentRequest(document_id=name), metadata=TOKEN)).document
    assert purged.end_time == purged.update_time
    listed = await stub.ListDocuments(pb.ListDocumentsRequest(show_deleted=True), metadata=TOKEN)
    assert [each.end_time for each in listed.documents] == [purged.end_time]


async def test_no_method_is_left_unserved() -> None:
    for method in SERVICE.methods:
        assert method.name in vars(DocumentServicer)


async def test_a_download_says_which_content_comes(stub: Any) -> None:
    data = pdf_of(2 * MIB)
    document = await upload(stub, data, spec=pb.UploadSpec(title="Lease"))
    shown = rendition_of(data)
    request = pb.DownloadDocumentRequest(document_id=document.document_id, content=pb.DOCUMENT_CONTENT_RENDITION)
    messages = [message async for message in stub.DownloadDocument(request, metadata=TOKEN)]
    start = messages[0].start
    assert (start.content, start.size, start.length) == (pb.DOCUMENT_CONTENT_RENDITION, len(shown), len(shown))
    assert start.sha256 == hashlib.sha256(shown).digest()
    assert start.version == document.versions[0]
    assert b"".join(message.chunk.data for message in messages[1:]) == shown
    unknown = pb.DownloadDocumentRequest(document_id=document.document_id, content=pb.DocumentContent.ValueType(7))
    assert await refusal(stub.DownloadDocument(unknown, metadata=TOKEN).read()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        {"field": "content"},
    )
