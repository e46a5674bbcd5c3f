"""The synchronous client.

    with zegel.Client("sign.example.com:443", token=api_key) as client:
        document = client.documents.upload("contract.pdf")

Its services are :attr:`Client.identity`, :attr:`~Client.documents`, :attr:`~Client.signing`, :attr:`~Client.ceremony`,
:attr:`~Client.audit` and :attr:`~Client.permissions`. Each method of a contract is a method of the same name in
snake_case; it takes the fields of its request as keyword arguments and returns its generated answer. A method that
lists returns an iterable over the items of all pages. Failures are the errors of :mod:`zegel.errors`.

Invariants:

* A method is sent again by itself only where its contract calls it free of side effects or idempotent, and then within
  the deadline; an empty ``request_id`` is filled in, so that a repeated create makes one thing.
* A client may be used from several threads, and shares one connection with those made from it.
"""

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
from zegel._internal.port import Call, Link, drive
from zegel._internal.ports import SyncPort
from zegel._internal.services import (
    AuditMethods,
    CeremonyMethods,
    DocumentMethods,
    IdentityMethods,
    PermissionMethods,
    SigningMethods,
)
from zegel._internal.source import Content
from zegel._internal.surface import SyncService
from zegel._internal.upload import Progress as UploadProgress
from zegel._internal.upload import upload
from zegel.document.v1.document_service_pb2 import Document, DocumentVersion, UploadSpec

__all__ = ["Audit", "Ceremony", "Client", "Documents", "Identity", "Permissions", "Signing"]


class Identity(SyncService, IdentityMethods):
    """Tenants, their members and API keys, and sessions."""


class Signing(SyncService, SigningMethods):
    """What the sender does: signature requests."""


class Ceremony(SyncService, CeremonyMethods):
    """What a signer does. The session says which request and which signer."""


class Audit(SyncService, AuditMethods):
    """The audit trail, its log and its proofs."""


class Permissions(SyncService, PermissionMethods):
    """Who may do what within a tenant."""


class Documents(SyncService, DocumentMethods):
    """Documents: encrypted streams in and out."""

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
        """Sends a document. A stream that is cut off is taken up where the server has it, if the source can seek.

        Args:
            content: The path of a PDF, a file object open for reading bytes, or the bytes. A file object is read from
                where it stands and left open.
            title: The new document's title: 1 to 255 characters. The file's name where it is left out.
            document_id: The document of which this is a new version; left out for a new document.
            progress: Called with the bytes that are on their way and those in all (``None`` where that is not known),
                from another thread. The first number steps back where bytes have to be sent again.
            client_encrypted: Encrypt the document here, so that whatever ends TLS on the way to the server sees none of
                it.
            team_id: The team that is to own the new document; left out for the caller itself.

        Returns:
            The document, its new version the last.

        Raises:
            DocumentUnreadable: It is no PDF, or damaged beyond repair.
            DocumentEncrypted: It is encrypted.
            DocumentTooComplex: It needs more memory, time or pages than a document may.
            ZegelError: The call failed otherwise.
            OSError: The file cannot be read.
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
        """Fetches a document, or a range of it. A stream that is cut off is taken up where it broke.

        Every chunk's crc32c is checked, and the SHA-256 of a whole document.

        Args:
            document_id: Identifier of the document.
            to: The path of a file, which appears only when it is whole and which only its owner may read, or a file
                object open for writing bytes, which has everything up to an error. The bytes are returned where it is
                left out.
            version: Number of the version; 0 for the newest.
            offset: The first byte; counted from the end where negative.
            length: The most bytes to fetch; ``None`` for all that follow.
            progress: Called with the bytes that have come and those that there will be.
            client_encrypted: Have the document come encrypted, and decrypt it here: whatever ends TLS on the way sees
                none of it.
            content: ``original`` for the file as it was uploaded or sealed, ``rendition`` for what signers are shown of
                it. Where it is left out, the original; for a signer, what it is to sign, or the sealed document.

        Returns:
            The bytes; the version's description where ``to`` is given.

        Raises:
            DataLoss: What arrived is not what was stored.
            ZegelError: The call failed otherwise.
            OSError: The file cannot be written.
            ValueError: The length is less than 1, or ``content`` is none of these.
        """
        request = download_request(document_id, version, offset, length, content)
        return drive(download(self._port, request, to, progress, client_encrypted=client_encrypted))


class Client(ClientBase):
    """A connection to a Zegel server, and who speaks over it. Close it, or use it in a ``with`` block.

    Args:
        target: ``host:port``, or any other target that gRPC resolves.
        token: An API key (``zk_...``) or a session token (``zs_...``); without one, every call is refused.
        root_certificates: PEM of the authorities to trust, or the path of a file with them; the system's where left
            out. A development server's is the ``authority.pem`` that it makes on its first start.
        client_key: PEM of a private key or its path, for mutual TLS, with ``client_certificates``.
        client_certificates: PEM of the certificate chain or its path, for mutual TLS.
        insecure: Speak without TLS: whoever listens reads the token and every document. For tests.
        timeout: Seconds that a call may take; where left out, 30 for one with a single answer and 6 hours for a stream.
        options: Further gRPC channel arguments.

    Attributes:
        identity: Tenants, members, API keys, sessions.
        documents: Documents, up and down.
        signing: Signature requests, for the sender.
        ceremony: Signing, for the signer.
        audit: The audit trail and its proofs.
        permissions: Roles and their bindings.

    Raises:
        OSError: A file cannot be read.
        ValueError: Certificates and ``insecure`` do not go together, or one half of mutual TLS is missing.
    """

    identity: Identity
    documents: Documents
    signing: Signing
    ceremony: Ceremony
    audit: Audit
    permissions: Permissions

    _channels: ClassVar[Any] = grpc

    def _bind(self, link: Link, call: Call) -> None:
        port = SyncPort(link, call)
        self.identity = Identity(port)
        self.documents = Documents(port)
        self.signing = Signing(port)
        self.ceremony = Ceremony(port)
        self.audit = Audit(port)
        self.permissions = Permissions(port)

    def exchange(self, token: str, *, tenant_id: str = "", expire_time: datetime | Timestamp | None = None) -> Self:
        """Turns what is exchanged for a session into one, once, and speaks in it from then on.

        Args:
            token: A signer link (``zl_...``), or an ID token of the tenant's identity provider.
            tenant_id: The member's tenant, for an ID token.
            expire_time: When the session ends at the latest, such as a ``datetime`` with its zone; where it is left
                out, 1 hour from now for a signer, and 12 hours for a member.

        Returns:
            A client over the same connection, in the new session.

        Raises:
            Unauthenticated: The link is spent, revoked, has ended, or never was one; the ID token is not taken.
            ZegelError: The call failed otherwise.
        """
        made = self.with_token(token).identity.exchange_token(tenant_id=tenant_id, expire_time=expire_time)
        return self.with_token(made.token)

    def close(self) -> None:
        """Ends the connection, and every call under way. On a client made from another one it does nothing."""
        channel = self._release()
        if channel is not None:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
