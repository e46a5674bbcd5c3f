"""What signing asks of its neighbours, as narrow as it is; ``app`` hands in whoever does it.

The audit trail's evidence, documents and sessions are other domains' own: here is only what signing needs of them.
"""

from collections.abc import Sequence
from typing import Protocol

from zegel_server.audit.answers import Evidence
from zegel_server.caller import Caller
from zegel_server.db import Transaction
from zegel_server.documents.model import Page
from zegel_server.identity.model import ListedLink


class ShownPage(Protocol):
    """A page as shown."""

    @property
    def width(self) -> float:
        """Width in points."""
        ...

    @property
    def height(self) -> float:
        """Height in points."""
        ...


class DescribedVersion(Protocol):
    """What is known of one version of a document."""

    @property
    def document_id(self) -> str:
        """Identifier of the document."""
        ...

    @property
    def version(self) -> int:
        """Number of the version."""
        ...

    @property
    def title(self) -> str:
        """The document's title."""
        ...

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the bytes, 32 bytes."""
        ...

    @property
    def size(self) -> int:
        """Size in bytes."""
        ...

    @property
    def pages(self) -> Sequence[ShownPage]:
        """The pages of its rendition as shown, in order."""
        ...

    @property
    def rendition_size(self) -> int:
        """Size of its rendition in bytes."""
        ...

    @property
    def rendition_sha256(self) -> bytes:
        """SHA-256 of its rendition's bytes, 32 bytes."""
        ...


class PreparedDocument(Protocol):
    """A document whose bytes are stored, and whose rows are not yet."""

    @property
    def document_id(self) -> str:
        """Identifier that it will have."""
        ...

    @property
    def version(self) -> int:
        """Number of its one version."""
        ...

    @property
    def sha256(self) -> bytes:
        """SHA-256 of its bytes, 32 bytes."""
        ...

    @property
    def size(self) -> int:
        """Its size in bytes."""
        ...

    async def insert(self, transaction: Transaction, owner_id: str) -> None:
        """Makes it exist.

        Args:
            transaction: The one that it comes to be with.
            owner_id: The principal or team that will own it.
        """
        ...


class Documents(Protocol):
    """What signing needs of the documents."""

    async def describe(self, caller: Caller, document_id: str, version: int) -> DescribedVersion:
        """What is known of a version that the caller reaches with ``document.read``; it has a rendition from then on.

        Args:
            caller: Who asks.
            document_id: Identifier of the document.
            version: Number of the version; 0 for the newest at this moment.

        Raises:
            NotFound: Absent, or not the caller's to see.
            FailedPrecondition: It was deleted (``DOCUMENT_DESTROYED``), or no rendition of it can be made.
        """
        ...

    async def pin(self, transaction: Transaction, tenant_id: str, document_id: str) -> None:
        """Keeps a document from being deleted until the transaction ends, from which on a request names it.

        Args:
            transaction: The one that names it.
            tenant_id: Whose document it is.
            document_id: Identifier of the document.

        Raises:
            FailedPrecondition: It was deleted meanwhile (``DOCUMENT_DESTROYED``).
        """
        ...

    async def move_sealed(self, transaction: Transaction, document_id: str, owner_id: str) -> None:
        """Gives a sealed or merged document to the owner of its signature request.

        Args:
            transaction: The one that moves the request.
            document_id: Identifier of the document.
            owner_id: Who owns both from then on.
        """
        ...

    async def read_all(self, tenant_id: str, document_id: str, version: int) -> bytes:
        """The bytes of a version; for the server itself, whoever asked.

        Args:
            tenant_id: Whose document it is.
            document_id: Identifier of the document.
            version: Number of the version.

        Raises:
            DataLoss: What is stored is damaged.
            FailedPrecondition: Its key was destroyed.
            Unavailable: A part that is needed does not answer.
        """
        ...

    async def read_rendition(self, tenant_id: str, document_id: str, version: int) -> bytes:
        """The bytes of a version's rendition, checked against the SHA-256 that its row has; for the server itself.

        Args:
            tenant_id: Whose document it is.
            document_id: Identifier of the document.
            version: Number of the version.

        Raises:
            DataLoss: What is stored is damaged.
            FailedPrecondition: Its key was destroyed, or it has none (``NO_RENDITION``).
            Unavailable: A part that is needed does not answer.
        """
        ...

    async def store_merged(
        self,
        *,
        tenant_id: str,
        signature_request_id: str,
        title: str,
        data: bytes,
        pages: Sequence[Page],
    ) -> PreparedDocument:
        """Stores the rendition of several documents, encrypted; it exists once its rows are inserted.

        Args:
            tenant_id: Whose document it will be.
            signature_request_id: The request that it is for.
            title: Its title.
            data: The rendition.
            pages: Its pages as shown.
        """
        ...

    async def store_sealed(
        self,
        *,
        tenant_id: str,
        signature_request_id: str,
        title: str,
        data: bytes,
        pages: Sequence[Page],
        document_id: str = "",
    ) -> PreparedDocument:
        """Stores the bytes of a sealed document, encrypted; it exists once its rows are inserted.

        Args:
            tenant_id: Whose document it will be.
            signature_request_id: The request of which it is the sealed document.
            title: Its title.
            data: The sealed PDF.
            pages: Its pages as shown.
            document_id: Identifier that it is to have; a new one where left out.
        """
        ...


class Sessions(Protocol):
    """What signing needs of the sessions."""

    async def open_signer_session(
        self,
        transaction: Transaction,
        caller: Caller,
        *,
        tenant_id: str,
        signature_id: str,
        subject_id: str,
        signature_request_id: str,
        expire_time: int,
    ) -> tuple[str, str]:
        """Opens a session for one signer of one request.

        Args:
            transaction: The one that it comes to be with.
            caller: Who opens it.
            tenant_id: The tenant it works in.
            signature_id: The signature that it acts for.
            subject_id: The signer as a subject.
            signature_request_id: The one request that it opens.
            expire_time: When it ends at the latest, in microseconds since the epoch.

        Returns:
            The session's identifier and its token, which is told only here.
        """
        ...


class Links(Protocol):
    """What signing needs of the signer links."""

    async def create(
        self,
        transaction: Transaction,
        caller: Caller,
        *,
        signature_request_id: str,
        signature_id: str,
        subject_id: str,
        trail: str,
        expire_time: int,
    ) -> tuple[str, str]:
        """Makes a link.

        Args:
            transaction: The one that it comes to be with.
            caller: Who makes it.
            signature_request_id: The request.
            signature_id: The signer's signature.
            subject_id: The signer as a subject.
            trail: The request's audit ID.
            expire_time: When it ends, in microseconds since the epoch.

        Returns:
            The link's identifier and its token, which is told only here.
        """
        ...

    async def renew(self, transaction: Transaction, caller: Caller, signer_link_id: str) -> str:
        """Gives a link another token.

        Args:
            transaction: Under way.
            caller: Who made the link.
            signer_link_id: Which.

        Returns:
            The token; empty where the link is not good any more.
        """
        ...

    async def find(self, tenant_id: str, signature_request_id: str, signer_link_id: str) -> None:
        """Makes sure that a link is of a request.

        Args:
            tenant_id: Whose.
            signature_request_id: The request.
            signer_link_id: The link.

        Raises:
            NotFound: It is not.
        """
        ...

    async def list_page(
        self, tenant_id: str, signature_request_id: str, *, before: str, limit: int
    ) -> Sequence[ListedLink]:
        """A page of a request's links, the newest first.

        Args:
            tenant_id: Whose.
            signature_request_id: The request.
            before: Only those with a smaller identifier.
            limit: The most to return.
        """
        ...

    async def revoke(self, transaction: Transaction, tenant_id: str, signer_link_id: str) -> bool:
        """Revokes a link and the session that it was turned into.

        Args:
            transaction: Under way.
            tenant_id: Whose.
            signer_link_id: Which.

        Returns:
            Whether anything changed.
        """
        ...


class TrailEvidence(Protocol):
    """What signing needs of the audit log."""

    @property
    def origin(self) -> str:
        """Name of the log."""
        ...

    async def evidence(self, trail: str) -> Evidence:
        """The evidence of a trail, all of whose events are under a signed checkpoint.

        Args:
            trail: The audit ID.

        Raises:
            Unavailable: An event is not integrated yet (``NOT_INTEGRATED_YET``), or too few witnesses have cosigned
                a checkpoint that covers it (``NOT_WITNESSED_YET``).
        """
        ...
