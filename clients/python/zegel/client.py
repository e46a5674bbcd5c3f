"""The synchronous client.

    with zegel.Client("sign.example.com:443", token=api_key) as client:
        document = client.documents.upload("contract.pdf")

Its services are :attr:`Client.identity`, :attr:`~Client.documents`, :attr:`~Client.signing`, :attr:`~Client.ceremony`,
:attr:`~Client.audit` and :attr:`~Client.permissions`. Each RPC of a service is a method of the same name in
snake_case. It takes the fields of its request as keyword arguments and returns the generated response message. A method
that lists returns an iterable over the items of all pages. Failures raise the errors of :mod:`zegel.errors`.

Invariants:

* A call is retried automatically only if its contract declares it idempotent or free of side effects, and only within
  the deadline. An empty ``request_id`` is filled in, so that a retried create makes only one resource.
* A client may be used from several threads, and shares its connection with the clients derived from it.
"""

from collections.abc import Iterable
from datetime import datetime
from types import TracebackType
from typing import Any, BinaryIO, ClassVar, Self, overload

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from zegel._internal.base import ClientBase
from zegel._internal.channel import PathLike
from zegel._internal.download import Content as DownloadContent
from zegel._internal.download import Progress as DownloadProgress
from zegel._internal.download import download, download_request
from zegel._internal.methods import (
    AuditMethods,
    CeremonyMethods,
    DocumentMethods,
    IdentityMethods,
    PermissionMethods,
    SigningMethods,
)
from zegel._internal.port import Call, Link, drive
from zegel._internal.ports import SyncPort
from zegel._internal.source import Content
from zegel._internal.streams import Stream
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

    def wait_until_sealed(self, signature_request_id: str, *, timeout: float | None = WAIT_S) -> SignatureRequest:
        """Waits until a signature request has its sealed document.

        Args:
            signature_request_id: The signature request.
            timeout: Seconds to wait; ``None`` waits for as long as the request is open.

        Returns:
            The signature request, whose ``sealed_document_id`` can be downloaded.

        Raises:
            SignatureRequestDeclined: A signer declined.
            SignatureRequestCanceled: The sender canceled it.
            SignatureRequestExpired: It expired before everyone had signed.
            SealingBlocked: Everyone has signed, and sealing failed for a reason that waiting does not resolve.
            DeadlineExceeded: The timeout passed; the request goes on.
            ZegelError: The request cannot be read.
        """
        return drive(wait_until_sealed(self._port, signature_request_id, timeout))

    def wait_until_ended(self, signature_request_id: str, *, timeout: float | None = WAIT_S) -> SignatureRequest:
        """Waits until a signature request has ended: with its sealed document, or declined, canceled or expired.

        Args:
            signature_request_id: The signature request.
            timeout: Seconds to wait; ``None`` waits for as long as the request is open.

        Returns:
            The signature request, whose ``state`` says how it ended.

        Raises:
            SealingBlocked: Everyone has signed, and sealing failed for a reason that waiting does not resolve.
            DeadlineExceeded: The timeout passed; the request goes on.
            ZegelError: The request cannot be read.
        """
        return drive(wait_until_ended(self._port, signature_request_id, timeout))


class Ceremony(CeremonyMethods):
    """What a signer does. The session identifies the signature request and the signer."""


class Audit(AuditMethods):
    """The audit trail, its log and its proofs."""

    def wait_until_proven(self, audit_id: str, *, timeout: float | None = PROOF_S) -> GetTransactionResponse:
        """Waits until the log has a proof of a sealed file, which it has within seconds of the seal.

        Args:
            audit_id: The signature request's ``audit_id``. A request that ends unsealed never has one.
            timeout: Seconds to wait; ``None`` waits without end.

        Returns:
            The transaction, whose ``sealed_proof`` is the file's ``.tlog-proof``.

        Raises:
            DeadlineExceeded: The timeout passed.
            ZegelError: The transaction cannot be read.
        """
        return drive(wait_until_proven(self._port, audit_id, timeout))


class Permissions(PermissionMethods):
    """Who may do what within a tenant."""


class Documents(DocumentMethods):
    """Documents, uploaded and downloaded as streams."""

    def upload(
        self,
        content: Content,
        *,
        title: str = "",
        document_id: str = "",
        progress: UploadProgress | None = None,
        client_encrypted: bool = False,
        team_id: str = "",
    ) -> Document:
        """Uploads a document. An interrupted stream is resumed from what the server has, if the source can seek.

        Args:
            content: The path of a PDF, a file object open for reading bytes, or the bytes. A file object is read from
                its current position and left open.
            title: The new document's title: 1 to 255 characters. Defaults to the file's name; bytes and a
                file object without a name need one.
            document_id: The document to add a new version to; omit it for a new document.
            progress: Called from another thread with the number of bytes sent and the total (``None`` if unknown).
                The first number decreases if bytes have to be sent again.
            client_encrypted: Encrypt the document in this process, so that a proxy that terminates TLS on the way to
                the server cannot read it.
            team_id: The team that will own the new document; by default the caller owns it.

        Returns:
            The document; the new version is its last.

        Raises:
            DocumentUnreadable: It is not a PDF, or is damaged beyond repair.
            DocumentEncrypted: It is encrypted.
            DocumentTooComplex: It exceeds the memory, time or number of pages allowed.
            ZegelError: The call failed for another reason.
            OSError: The file cannot be read.
            ValueError: A new document has neither a title nor a file's name.
        """
        spec = UploadSpec(title=title, document_id=document_id, client_encrypted=client_encrypted, team_id=team_id)
        return drive(upload(self._port, content, spec, progress))

    @overload
    def download(
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
    def download(
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
    def download(
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
        """Downloads a document, or a range of it. An interrupted stream is resumed where it broke off.

        The CRC-32C of every chunk is checked, and for a whole document also its SHA-256.

        Args:
            document_id: Identifier of the document.
            to: The path of a file, or a file object open for writing bytes. A path gets its file only once the download
                is complete, readable by its owner alone; a file object is left with what arrived before an error. If
                omitted, the bytes are returned.
            version: Number of the version; 0 means the newest.
            offset: Offset of the first byte; a negative value counts from the end.
            length: Maximum number of bytes; ``None`` means all that follow.
            progress: Called with the number of bytes received and the total.
            client_encrypted: Request the document encrypted and decrypt it in this process, so that a proxy that
                terminates TLS on the way cannot read it.
            content: ``original`` for the file as uploaded or sealed, ``rendition`` for what signers are shown. Defaults
                to the original or, for a signer, to what it has to sign or the sealed document.

        Returns:
            The bytes, or the version's metadata if ``to`` is given.

        Raises:
            DataLoss: What arrived is not what was stored.
            ZegelError: The call failed for another reason.
            OSError: The file cannot be written.
            ValueError: The length is less than 1, or ``content`` is not one of these values.
        """
        request = download_request(document_id, version, offset, length, content)
        return drive(download(self._port, request, to, progress, client_encrypted=client_encrypted))


class Client(ClientBase):
    """A connection to a Zegel server, and the token for its calls. Close it, or use it in a ``with`` block.

    Args:
        target: ``host:port``, or any other target that gRPC resolves.
        token: An API key (``zk_...``) or a session token (``zs_...``); without one, every call is refused.
        root_certificates: PEM of the certificate authorities to trust, or the path of a file with them. Defaults to
            the system's. A development server writes its own to ``authority.pem`` on its first start.
        client_key: PEM of a private key or its path, for mutual TLS, with ``client_certificates``.
        client_certificates: PEM of the certificate chain or its path, for mutual TLS.
        insecure: Connect without TLS: anyone on the network can read the token and every document. For tests.
        timeout: Seconds that a call may take. Defaults to 30 seconds for a unary call and 6 hours for a stream.
        options: Further gRPC channel arguments.

    Attributes:
        identity: Tenants, members, API keys, sessions.
        documents: Documents: upload, download, metadata.
        signing: Signature requests, for the sender.
        ceremony: Signing, for the signer.
        audit: The audit trail and its proofs.
        permissions: Roles, bindings, teams, delegations.

    Raises:
        OSError: A file cannot be read.
        ValueError: The target is empty or a URL, ``root_certificates`` holds no certificate, certificates were given
            together with ``insecure``, or only one half of mutual TLS.
    """

    identity: Identity
    documents: Documents
    signing: Signing
    ceremony: Ceremony
    audit: Audit
    permissions: Permissions

    _channels: ClassVar[Any] = grpc

    def _bind(self, link: Link, call: Call) -> None:
        self._port = port = SyncPort(link, call)
        self.identity = Identity(port)
        self.documents = Documents(port)
        self.signing = Signing(port)
        self.ceremony = Ceremony(port)
        self.audit = Audit(port)
        self.permissions = Permissions(port)

    def exchange(self, token: str, *, tenant_id: str = "", expire_time: datetime | Timestamp | None = None) -> Self:
        """Exchanges a signer link or an ID token for a session, once, and returns a client that uses the session.

        Args:
            token: A signer link (``zl_...``), or an ID token of the tenant's identity provider.
            tenant_id: The member's tenant, for an ID token.
            expire_time: When the session expires at the latest, such as a ``datetime`` with a time zone. Defaults to
                1 hour from now for a signer, and 12 hours for a member.

        Returns:
            A client over the same connection, using the new session.

        Raises:
            Unauthenticated: The link was already redeemed, is revoked, expired or unknown; or the ID token was refused.
            ZegelError: The call failed for another reason.
        """
        made = self.with_token(token).identity.exchange_token(tenant_id=tenant_id, expire_time=expire_time)
        return self.with_token(made.token)

    def events(
        self,
        *,
        signature_request_id: str = "",
        types: Iterable[EventType.ValueType] = (),
        start_index: int = 0,
    ) -> Stream[Event]:
        """Yields events from an index on, then new ones as they happen: none is missed, and none comes twice.

        A stream that breaks or comes to its deadline is opened again where it ended. To go on in another process, keep
        the ``log_index`` of the last event that you dealt with, and start one higher.

        Args:
            signature_request_id: Only events of this signature request; if empty, all that the session may see.
            types: Only events of these types; if empty, all.
            start_index: Smallest ``log_index`` to yield.

        Returns:
            A stream without end. Close it, or leave its ``with`` block, to end it.

        Raises:
            Unauthenticated: The session has ended.
            Unavailable: The server has been away for minutes.
            ZegelError: The stream was refused.
        """
        return Stream(events(self._port, signature_request_id, types, start_index))

    def close(self) -> None:
        """Closes the connection and ends every call in progress. Does nothing on a client derived from another."""
        channel = self._release()
        if channel is not None:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
