"""A signature request, whole and as one signer sees it. No I/O: a value is a snapshot of a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from zegel.evidence.commitments import ORIGINAL, RENDITION, DocumentHash
from zegel_server import zones
from zegel_server.signing.fields import Field
from zegel_server.signing.model import Progress, Signature
from zegel_server.signing.values import Values


@dataclass(frozen=True, slots=True)
class Person:
    """A signer as a person; all empty once the person is forgotten.

    Attributes:
        subject_id: The subject under whose key the rest is stored.
        name: Name, as it stands beside the signature.
        email: Mail address.
        decline_reason: Why the signer declined.
    """

    subject_id: str
    name: str = ""
    email: str = ""
    decline_reason: str = ""


@dataclass(frozen=True, slots=True)
class PinnedDocument:
    """A version of a document that is to be signed, as it was uploaded; ``page_count`` is that of its rendition."""

    document_id: str
    version: int
    title: str
    sha256: bytes
    page_count: int
    size: int


@dataclass(frozen=True, slots=True)
class PinnedRendition:
    """What the signers are shown, and the sealed file begins with: the version that has it, and its bytes."""

    document_id: str
    version: int
    sha256: bytes
    size: int
    page_count: int


@dataclass(frozen=True, slots=True)
class Sealing:
    """The progress of sealing.

    Attributes:
        attempts: Attempts so far.
        last_reason: Reason of the last failure, or empty.
        next_attempt_time: When it is tried next, in microseconds.
        blocked: Whether waiting will not resolve that reason.
    """

    attempts: int
    last_reason: str
    next_attempt_time: int
    blocked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureRequest:
    """A snapshot of a signature request.

    Attributes:
        signature_request_id: Identifier.
        tenant_id: Whose it is.
        tenant_name: That tenant's name.
        owner_id: The principal or team that owns it.
        audit_id: Its trail.
        title: Its title.
        message: What the sender writes to the signers.
        create_time: When it was sent.
        documents: What is to be signed, in order.
        rendition: What the signers are shown of them all; ``None`` for one sent before renditions existed.
        fields: What is to be filled in.
        people: The signers, by signature.
        progress: How far it has come.
        time_zone: The time zone of signers for whom the sender named no other; empty for one sent before there were
            time zones.
        time_zones: The time zone of each signer's days, by signature; empty likewise.
        sealed_document_id: The sealed document; empty while there is none.
        revision: How often it was changed.
        sealing: The progress of sealing, while it is under way.
    """

    signature_request_id: str
    tenant_id: str
    tenant_name: str
    owner_id: str
    audit_id: str
    title: str
    message: str
    create_time: int
    documents: tuple[PinnedDocument, ...]
    fields: tuple[Field, ...]
    people: Mapping[str, Person]
    progress: Progress
    time_zone: str = ""
    time_zones: Mapping[str, str] = field(default_factory=dict)
    sealed_document_id: str = ""
    revision: int = 1
    sealing: Sealing | None = None
    rendition: PinnedRendition | None = None

    def fields_of(self, signature_id: str) -> tuple[Field, ...]:
        """The fields that a signer fills.

        Args:
            signature_id: The signer's signature.
        """
        identifiers = [each.signature_id for each in self.progress.signatures]
        index = identifiers.index(signature_id)
        return tuple(field for field in self.fields if field.signer_index == index)

    @property
    def merged_document_id(self) -> str:
        """The document merged for it; empty if its rendition is a single document's own."""
        own = {document.document_id for document in self.documents}
        return "" if self.rendition is None or self.rendition.document_id in own else self.rendition.document_id

    @property
    def document_hashes(self) -> tuple[DocumentHash, ...]:
        """The documents as the request's events name them: the originals in order, then the rendition."""
        originals = tuple(
            DocumentHash(each.document_id, each.version, each.sha256.hex(), each.size, ORIGINAL)
            for each in self.documents
        )
        shown = self.rendition
        if shown is None:
            return originals
        return (*originals, DocumentHash(shown.document_id, shown.version, shown.sha256.hex(), shown.size, RENDITION))

    @property
    def signer_names(self) -> list[str]:
        """The signers' names, in the order in which the sender named them."""
        return [self.people[each.signature_id].name for each in self.progress.signatures]

    def with_progress(self, progress: Progress) -> Self:
        """The request at its next revision.

        Args:
            progress: How far it has come then.
        """
        return replace(self, progress=progress, revision=self.revision + 1)

    def with_owner(self, owner_id: str) -> Self:
        """The request at its next revision, with another owner.

        Args:
            owner_id: Who owns it then.
        """
        return replace(self, owner_id=owner_id, revision=self.revision + 1)

    def with_sealed_document(self, document_id: str) -> Self:
        """The request with its sealed document, at the same revision.

        Args:
            document_id: The sealed document's identifier.
        """
        return replace(self, sealed_document_id=document_id)

    def with_people(self, people: Mapping[str, Person]) -> Self:
        """The request with other data about its signers, at the same revision.

        Args:
            people: The signers, by signature.
        """
        return replace(self, people=people)


@dataclass(frozen=True, slots=True)
class CeremonyView:
    """A request as one signer sees it.

    Attributes:
        request: The request.
        signature_id: The signer's signature.
        values: What the signer has filled in so far.
    """

    request: SignatureRequest
    signature_id: str
    values: Values

    @property
    def signature(self) -> Signature:
        """The signer's own signature."""
        return self.request.progress.signature(self.signature_id)

    @property
    def time_zone(self) -> str:
        """The time zone of the signer's days."""
        return self.request.time_zones.get(self.signature_id) or zones.UTC

    @property
    def person(self) -> Person:
        """The signer as a person."""
        return self.request.people[self.signature_id]

    @property
    def fields(self) -> tuple[Field, ...]:
        """The signer's own fields."""
        return self.request.fields_of(self.signature_id)
