"""An in-memory document service with configurable failures, and either client in front of it."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import google_crc32c
import grpc

import zegel
import zegel.aio
from support.fake_server import Relay, Running, refuse
from zegel.document.v1 import document_service_pb2 as pb
from zegel.document.v1.document_service_pb2_grpc import DocumentServiceServicer

MIB = 1024 * 1024
CONTENT = bytes(range(256)) * 4 * 1024 * 5 + b"the end"  # a little over five chunks


@dataclass
class Stored:
    """An upload in the server's memory."""

    spec: pb.UploadSpec
    data: bytearray = field(default_factory=bytearray)
    document: pb.Document | None = None


class Documents(DocumentServiceServicer):
    """Keeps uploads in memory as the contract says, and fails where a test wants it to."""

    def __init__(self) -> None:
        self.uploads: dict[str, Stored] = {}
        self.streams: list[list[int]] = []
        self.cut_up: list[int] = []
        """For each upload stream in turn, the number of chunks after which it fails."""
        self.cut_down: list[int] = []
        """The same for downloads."""
        self.granularity = 1
        """The persisted size is a multiple of this number of bytes."""
        self.lose_the_answer = 0
        self.forget_finished = False
        self.away = 0
        """The number of requests for an upload's state that get no answer."""
        self.content = CONTENT
        self.rendition = CONTENT[::-1]
        self.asked: list[pb.DownloadDocumentRequest] = []
        self.spoil: Callable[[int, pb.DownloadDocumentResponse], None] | None = None
        self.refusal = grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"

    def _upload(self, upload_id: str) -> pb.Upload:
        size = len(self.uploads[upload_id].data)
        return pb.Upload(upload_id=upload_id, document_id="doc_1", version=1, persisted_size=size)

    async def StartUpload(self, request: Any, context: Any) -> Any:  # noqa: N802
        upload_id = f"upl_{len(self.uploads)}"
        self.uploads[upload_id] = Stored(request.spec)
        return pb.StartUploadResponse(upload=self._upload(upload_id))

    async def GetUpload(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self.away:
            self.away -= 1
            await refuse(context, grpc.StatusCode.INTERNAL, "")  # as from a proxy
        if self.forget_finished and self.uploads[request.upload_id].document:
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "UPLOAD_CLOSED")
        return pb.GetUploadResponse(upload=self._upload(request.upload_id))

    async def GetDocument(self, request: Any, context: Any) -> Any:  # noqa: N802
        [stored] = self.uploads.values()
        return pb.GetDocumentResponse(document=stored.document)

    async def UploadDocument(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        cut = self.cut_up.pop(0) if self.cut_up else None
        offsets: list[int] = []
        self.streams.append(offsets)
        upload_id = ""
        pending = b""
        position: int | None = None
        async for message in request_iterator:
            upload_id = upload_id or message.upload_id
            stored = self.uploads[upload_id]
            if message.HasField("chunk"):
                chunk = message.chunk
                assert google_crc32c.value(chunk.data) == chunk.crc32c
                assert 1 <= len(chunk.data) <= MIB
                assert chunk.offset == (len(stored.data) if position is None else position)
                position = chunk.offset + len(chunk.data)
                offsets.append(chunk.offset)
                pending += chunk.data
                whole = len(pending) // self.granularity * self.granularity
                stored.data += pending[:whole]
                pending = pending[whole:]
            if cut is not None and len(offsets) > cut:
                await refuse(context, *self.refusal)
            if message.HasField("finish"):
                stored.data += pending
                assert message.finish.size == len(stored.data)
                assert message.finish.sha256 == hashlib.sha256(stored.data).digest()
                version = pb.DocumentVersion(version=1, size=message.finish.size, sha256=message.finish.sha256)
                stored.document = pb.Document(document_id="doc_1", title=stored.spec.title, versions=[version])
                if self.lose_the_answer:
                    self.lose_the_answer -= 1
                    await refuse(context, grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
                return pb.UploadDocumentResponse(document=stored.document)
        return pb.UploadDocumentResponse(upload=self._upload(upload_id))

    async def DownloadDocument(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self.asked.append(request)
        cut = self.cut_down.pop(0) if self.cut_down else None
        if request.document_id != "doc_1":
            await refuse(context, grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND", {"resource": "document"})
        rendition = request.content == pb.DOCUMENT_CONTENT_RENDITION
        size = len(self.rendition if rendition else self.content)
        start = request.read_offset + size if request.read_offset < 0 else request.read_offset
        end = min(size, start + request.read_limit) if request.read_limit else size
        for number, message in enumerate(self._messages(start, end, rendition=rendition)):
            if cut is not None and number > cut:
                await refuse(context, *self.refusal)
            if self.spoil:
                self.spoil(number, message)
            yield message

    def _messages(self, start: int, end: int, *, rendition: bool) -> Iterator[pb.DownloadDocumentResponse]:
        content = self.rendition if rendition else self.content
        version = pb.DocumentVersion(version=3, size=len(self.content), sha256=hashlib.sha256(self.content).digest())
        head = pb.DownloadStart(
            document_id="doc_1",
            version=version,
            offset=start,
            length=end - start,
            content=pb.DOCUMENT_CONTENT_RENDITION if rendition else pb.DOCUMENT_CONTENT_ORIGINAL,
            size=len(content),
            sha256=hashlib.sha256(content).digest(),
        )
        yield pb.DownloadDocumentResponse(start=head)
        for at in range(start, end, MIB):
            data = content[at : min(end, at + MIB)]
            yield pb.DownloadDocumentResponse(chunk=pb.Chunk(offset=at, data=data, crc32c=google_crc32c.value(data)))


class World:
    """Runs a server with documents, and either client."""

    def __init__(self, running: Running, kind: str, served: Documents) -> None:
        self.running = running
        self.kind = kind
        self.served = served

    async def _with(self, target: str, work: Callable[[Any], Any]) -> Any:
        if self.kind == "sync":
            with zegel.Client(target, token="zs_x", insecure=True) as client:
                return work(client.documents)
        async with zegel.aio.Client(target, token="zs_x", insecure=True) as other:
            return await cast("Awaitable[Any]", work(other.documents))

    async def upload(self, content: Any, *, relay: Relay | None = None, **more: Any) -> pb.Document:
        answer: pb.Document = await self._with(
            relay.target if relay else self.running.target, lambda documents: documents.upload(content, **more)
        )
        return answer

    async def download(self, document_id: str = "doc_1", *, relay: Relay | None = None, **more: Any) -> Any:
        return await self._with(
            relay.target if relay else self.running.target, lambda documents: documents.download(document_id, **more)
        )

    @property
    def received(self) -> bytes:
        [stored] = self.served.uploads.values()
        return bytes(stored.data)
