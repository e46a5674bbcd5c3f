"""The floor of the ``documents`` benchmark: a bare grpc.aio server that counts received bytes and sends prepared ones.

It stores nothing, checks nothing, calls no other service and computes no checksum. Its messages are those of the
contract and its chunks have Zegel's sizes, so the same client works with both.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc

from bench._content import Content
from zegel.document.v1 import document_service_pb2 as pb
from zegel.document.v1.document_service_pb2_grpc import (
    DocumentServiceServicer,
    add_DocumentServiceServicer_to_server,
)
from zegel.segments import plaintext_range, segment_count
from zegel_server.edge.wire import MAX_MESSAGE


class Counter(DocumentServiceServicer):
    """Counts received bytes, and sends prepared ones."""

    def __init__(self) -> None:
        self._content: Final = Content()
        self._hashes: dict[int, bytes] = {}

    async def StartUpload(self, _request: pb.StartUploadRequest, _context: Any) -> pb.StartUploadResponse:  # noqa: N802
        """Returns an upload without creating anything."""
        return pb.StartUploadResponse(upload=pb.Upload(upload_id="upl_0", document_id="doc_0", version=1))

    async def UploadDocument(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.UploadDocumentRequest], _context: Any
    ) -> pb.UploadDocumentResponse:
        """Counts the bytes received."""
        size = 0
        async for message in request_iterator:
            size += len(message.chunk.data)
            if message.HasField("finish"):
                self._hashes[size] = message.finish.sha256
        return pb.UploadDocumentResponse(document=pb.Document(document_id=f"doc_{size}"))

    async def DownloadDocument(  # noqa: N802
        self, request: pb.DownloadDocumentRequest, _context: Any
    ) -> AsyncIterator[pb.DownloadDocumentResponse]:
        """Sends ``doc_<size>``."""
        size = int(request.document_id.removeprefix("doc_"))
        sha256 = self._hashes[size]
        version = pb.DocumentVersion(version=1, size=size, sha256=sha256)
        start = pb.DownloadStart(
            document_id=request.document_id,
            version=version,
            length=size,
            content=pb.DOCUMENT_CONTENT_ORIGINAL,
            size=size,
            sha256=sha256,
        )
        yield pb.DownloadDocumentResponse(start=start)
        for index in range(segment_count(size)):
            place = plaintext_range(index, size)
            data, crc32c = self._content.piece(place.start, len(place))
            yield pb.DownloadDocumentResponse(chunk=pb.Chunk(offset=place.start, data=data, crc32c=crc32c))


async def main(folder: Path) -> None:
    """Serves until the process is terminated.

    Args:
        folder: Contains ``tls.pem`` (certificate) and ``tls.key``.
    """
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.so_reuseport", 0)])
    add_DocumentServiceServicer_to_server(Counter(), server)  # type: ignore[abstract]  # the other methods are never called
    pair = ((folder / "tls.key").read_bytes(), (folder / "tls.pem").read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
