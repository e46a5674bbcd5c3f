"""The client for asyncio: like :mod:`zegel.client`, with ``await``, ``async with`` and ``async for``.

    async with zegel.aio.Client("sign.example.com:443", token=api_key) as client:
        async for document in client.documents.list_documents():
            print(document.title)

A client belongs to the event loop in which it makes its first call. Files are read, written and hashed in threads, so
that they do not block the loop.
"""

from collections.abc import Iterable
from datetime import datetime
from types import TracebackType
from typing import Any, BinaryIO, ClassVar, Self, overload

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp

from zegel._internal.aio_methods import (
    AuditMethods,
    CeremonyMethods,
    DocumentMethods,
    IdentityMethods,
    PermissionMethods,
    SigningMethods,
)
from zegel._internal.base import ClientBase
from zegel._internal.channel import PathLike
from zegel._internal.download import Content as DownloadContent
from zegel._internal.download import Progress as DownloadProgress
from zegel._internal.download import download, download_request
from zegel._internal.port import Call, Link
from zegel._internal.ports import AioPort
from zegel._internal.source import Content
from zegel._internal.streams import AioStream
from zegel._internal.upload import Progress as UploadProgress
from zegel._internal.upload import upload
from zegel._internal.waiting import PROOF_S, WAIT_S, wait_until_ended, wait_until_proven, wait_until_sealed
from zegel._internal.watching import events
from zegel.audit.v1.audit_service_pb2 import Event, GetTransactionResponse
from zegel.document.v1.document_service_pb2 import Document, DocumentVersion, UploadSpec
from zegel.event.v1.event_type_pb2 import EventType
from zegel.signing.v1.signature_request_pb2 import SignatureRequest

__all__ = ["Audit", "Ceremony", "Client", "Documents", "Identity", "Permissions", "Signing"]


class Identity(IdentityMethods):
    """Tenants, their members and API keys, and sessions."""


class Signing(SigningMethods):
    """What a sender does: signature requests."""

    async def wait_until_sealed(self, signature_request_id: str, *, timeout: float | None = WAIT_S) -> SignatureRequest:  # noqa: ASYNC109 - as the synchronous client has it
        """Waits for the sealed document; see :meth:`zegel.client.Signing.wait_until_sealed`."""
        return await wait_until_sealed(self._port, signature_request_id, timeout)

    async def wait_until_ended(self, signature_request_id: str, *, timeout: float | None = WAIT_S) -> SignatureRequest:  # noqa: ASYNC109 - as the synchronous client has it
        """Waits for any end of a request; see :meth:`zegel.client.Signing.wait_until_ended`."""
        return await wait_until_ended(self._port, signature_request_id, timeout)


class Ceremony(CeremonyMethods):
    """What a signer does. The session identifies the signature request and the signer."""


class Audit(AuditMethods):
    """The audit trail, its log and its proofs."""

    async def wait_until_proven(self, audit_id: str, *, timeout: float | None = PROOF_S) -> GetTransactionResponse:  # noqa: ASYNC109 - as the synchronous client has it
        """Waits for the proof of a sealed file; see :meth:`zegel.client.Audit.wait_until_proven`."""
        return await wait_until_proven(self._port, audit_id, timeout)


class Permissions(PermissionMethods):
    """Who may do what within a tenant."""


class Documents(DocumentMethods):
    """Documents, uploaded and downloaded as streams."""

    async def upload(
        self,
        content: Content,
        *,
        title: str = "",
        document_id: str = "",
        progress: UploadProgress | None = None,
        client_encrypted: bool = False,
        team_id: str = "",
    ) -> Document:
        """Uploads a document; see :meth:`zegel.client.Documents.upload`."""
        spec = UploadSpec(title=title, document_id=document_id, client_encrypted=client_encrypted, team_id=team_id)
        return await upload(self._port, content, spec, progress)

    @overload
    async def download(
        self,
        document_id: str,
        *,
        to: None = None,
        version: int = 0,
        offset: int = 0,
        length: int | None = None,
        progress: DownloadProgress | None = None,
        client_encrypted: bool = False,
        content: DownloadContent = "",
    ) -> bytes: ...
    @overload
    async def download(
        self,
        document_id: str,
        *,
        to: PathLike | BinaryIO,
        version: int = 0,
        offset: int = 0,
        length: int | None = None,
        progress: DownloadProgress | None = None,
        client_encrypted: bool = False,
        content: DownloadContent = "",
    ) -> DocumentVersion: ...
    async def download(
        self,
        document_id: str,
        *,
        to: PathLike | BinaryIO | None = None,
        version: int = 0,
        offset: int = 0,
        length: int | None = None,
        progress: DownloadProgress | None = None,
        client_encrypted: bool = False,
        content: DownloadContent = "",
    ) -> bytes | DocumentVersion:
        """Downloads a document, or a range of it; see :meth:`zegel.client.Documents.download`."""
        request = download_request(document_id, version, offset, length, content)
        return await download(self._port, request, to, progress, client_encrypted=client_encrypted)


class Client(ClientBase):
    """A connection to a Zegel server, with the arguments and attributes of :class:`zegel.Client`."""

    identity: Identity
    documents: Documents
    signing: Signing
    ceremony: Ceremony
    audit: Audit
    permissions: Permissions

    _channels: ClassVar[Any] = grpc.aio

    def _bind(self, link: Link, call: Call) -> None:
        self._port = port = AioPort(link, call)
        self.identity = Identity(port)
        self.documents = Documents(port)
        self.signing = Signing(port)
        self.ceremony = Ceremony(port)
        self.audit = Audit(port)
        self.permissions = Permissions(port)

    async def exchange(
        self, token: str, *, tenant_id: str = "", expire_time: datetime | Timestamp | None = None
    ) -> Self:
        """Exchanges a signer link or an ID token for a session; see :meth:`zegel.Client.exchange`."""
        made = await self.with_token(token).identity.exchange_token(tenant_id=tenant_id, expire_time=expire_time)
        return self.with_token(made.token)

    def events(
        self,
        *,
        signature_request_id: str = "",
        types: Iterable[EventType.ValueType] = (),
        start_index: int = 0,
    ) -> AioStream[Event]:
        """Yields events as they happen, for ``async for``; see :meth:`zegel.Client.events`."""
        return AioStream(events(self._port, signature_request_id, types, start_index))

    async def close(self) -> None:
        """Closes the connection and ends every call in progress. Does nothing on a client derived from another."""
        channel = self._release()
        if channel is not None:
            await channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()
