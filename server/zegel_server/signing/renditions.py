"""What the signers of a request are shown: one rendition of all its documents, made before the request is sent.

For one document it is that document's own rendition; several are merged here while the sender waits. Merging takes
milliseconds per document, so no state is needed for a request that is sent but cannot be signed yet.

Invariants:

* A request is sent only if its sealed file can be made. Requests too large for that are refused here; for several
  documents, by running the code that will make the file.
* A merged rendition is durable before the transaction that sends the request begins; a crash in between leaves an
  orphan.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from zegel.evidence.sealed_file.completion import FILES
from zegel_server import clock
from zegel_server.documents.signing_documents import PreparedDocument, SignableVersion, SigningDocuments
from zegel_server.errors import FailedPrecondition
from zegel_server.pdf.limits import MAX_PAGES, MAX_RENDITION_BYTES
from zegel_server.pdf.model import AuditPage, CompletionJob, Stamp
from zegel_server.places import Places
from zegel_server.signing.openings import boxes_of
from zegel_server.signing.request import PinnedRendition, SignatureRequest

AT_ONCE: Final = 2
"""Requests merged at a time: each takes `MAX_RENDITION_BYTES` of the server's memory, and the merged one as much.
A small one may be merged beside them."""
SMALL: Final = 1024 * 1024
"""Bytes of a small request's renditions together."""


class MergingSandbox(Protocol):
    """The part of the sandbox that merges renditions."""

    async def rehearse(self, job: CompletionJob) -> None:
        """Tries out what completing will do, under the same limits.

        Args:
            job: The rendition, and what would be added to it.

        Raises:
            FailedPrecondition: It exceeds the limits of completing.
            Unavailable: The worker stopped.
        """
        ...

    async def merge(self, renditions: list[bytes]) -> bytes:
        """Merges renditions into one, in order.

        Args:
            renditions: Two or more.

        Raises:
            FailedPrecondition: Together they exceed the limits of one file.
            Unavailable: The worker stopped.
        """
        ...


@dataclass(frozen=True, slots=True)
class RequestRendition:
    """What the signers are shown.

    Attributes:
        rendition: The rendition, as the request pins it.
        merged: The merged document, stored but without rows yet; ``None`` if it is a single document's own
        rendition.
    """

    rendition: PinnedRendition
    merged: PreparedDocument | None = None


class RequestRenditions:
    """Makes what the signers of a request are shown.

    Args:
        documents: Reads the documents' renditions, and stores merged ones.
        sandbox: Merges them.
    """

    def __init__(self, documents: SigningDocuments, sandbox: MergingSandbox) -> None:
        self._documents = documents
        self._sandbox = sandbox
        self._places = Places(AT_ONCE)

    async def make(self, sent: SignatureRequest, described: Sequence[SignableVersion]) -> RequestRendition:
        """Makes what the signers of a new request are shown.

        Args:
            sent: The request to be sent.
            described: Its documents, in order.

        Raises:
            DataLoss: What is stored is not what was written.
            FailedPrecondition: It could not be sealed in the end (``DOCUMENT_TOO_COMPLEX``), or a document was purged.
            ResourceExhausted: The blob store is full.
            Unavailable: A store, the key provider or the sandbox does not answer.
        """
        check_sealable(described)
        if len(described) == 1:
            [only] = described
            return RequestRendition(
                PinnedRendition(
                    only.document_id, only.version, only.rendition_sha256, only.rendition_size, len(only.pages)
                )
            )
        size = sum(each.rendition_size for each in described)
        async with self._places.place(sent.tenant_id, small=size <= SMALL):
            merged = await self._sandbox.merge(
                [
                    await self._documents.read_rendition(sent.tenant_id, each.document_id, each.version)
                    for each in described
                ]
            )
            await self._sandbox.rehearse(_trial(sent, merged))
            pages = [page for each in described for page in each.pages]
            stored = await self._documents.store_merged(
                tenant_id=sent.tenant_id,
                signature_request_id=sent.signature_request_id,
                title=sent.title,
                data=merged,
                pages=pages,
            )
        pinned = PinnedRendition(stored.document_id, stored.version, stored.sha256, stored.size, len(pages))
        return RequestRendition(pinned, stored)


def _trial(sent: SignatureRequest, merged: bytes) -> CompletionJob:
    """A job that completes a merged rendition with something in each box.

    A single document needs no trial beyond its upload, when all of its pages were drawn twice under the limits of a
    completion, which draws only those that have boxes.
    """
    stamps = [
        Stamp(box.page, box.x / 1000, box.y / 1000, box.width / 1000, box.height / 1000, "text", text="x")
        for box in boxes_of(sent)
    ]
    audit = AuditPage(
        audit_id=sent.audit_id,
        title=sent.title,
        tenant_name=sent.tenant_name,
        completed_time="",
        documents=[],
        parties=[],
        events=[],
        origin="",
    )
    files = {file.name: b"" for file in FILES}
    return CompletionJob(merged, stamps, audit, files, clock.to_datetime(sent.create_time))


def check_sealable(described: Sequence[SignableVersion]) -> None:
    """Refuses documents that cannot become one sealed file; the only such check before a request is sent.

    Args:
        described: The documents of a request, in order.

    Raises:
        FailedPrecondition: They cannot, and which limit they exceed (``DOCUMENT_TOO_COMPLEX``).
    """
    pages = sum(len(each.pages) for each in described)
    if pages > MAX_PAGES:
        raise FailedPrecondition(
            f"The documents together have {pages:,} pages; {MAX_PAGES:,} is the most.",
            reason="DOCUMENT_TOO_COMPLEX",
            detail="too_many_pages",
        )
    size = sum(each.rendition_size for each in described)
    if size > MAX_RENDITION_BYTES:
        raise FailedPrecondition(
            f"The documents' renditions together have {size:,} bytes; {MAX_RENDITION_BYTES:,} is the most.",
            reason="DOCUMENT_TOO_COMPLEX",
            detail="too_large",
        )
