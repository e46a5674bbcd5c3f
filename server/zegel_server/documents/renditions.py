"""Makes the rendition of an uploaded document, in the PDF sandbox, before the document exists.

The rendition is stored beside the original as a separate stream, with its own header, folder and associated data, so
that neither can be mistaken for the other. Its key is derived from the version's.

A PDF above the sandbox's size limit is stored without rendition and pages if it begins as a PDF does: it can be
downloaded but not sent for signing.

Invariants:

* A rendition is durable before the transaction that inserts its row; a crash in between leaves an orphan.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from zegel.segments import segment_count
from zegel_server.documents.encrypted_store import EncryptedStore
from zegel_server.documents.findings import findings_to_text
from zegel_server.documents.model import Page
from zegel_server.documents.streams import ContentId, Stream
from zegel_server.documents.writing import write_whole
from zegel_server.errors import FailedPrecondition
from zegel_server.pdf.limits import MAX_PDF_BYTES
from zegel_server.pdf.model import Rendition
from zegel_server.pdf.trials import Trials, TryingSandbox
from zegel_server.places import Places

AT_ONCE: Final = 2
"""Documents read back whole at a time: each may take `MAX_PDF_BYTES` of the server's own memory, and its rendition as
much again. One that is small may be read beside them."""
SMALL: Final = 1024 * 1024
"""Bytes of a small document."""
HEAD: Final = 1024
"""Bytes within which the PDF signature is looked for: it should come first, but readers search this far (Adobe's PDF
Reference, sixth edition, appendix H)."""
REFUSED: Final = frozenset({"DOCUMENT_UNREADABLE", "DOCUMENT_ENCRYPTED", "DOCUMENT_TOO_COMPLEX"})
"""Reasons for which a document is refused permanently."""


class Sandbox(TryingSandbox, Protocol):
    """The part of ``pdf.Sandbox`` that this module uses."""

    async def render(self, pdf: bytes) -> Rendition:
        """Makes the rendition of an untrusted PDF.

        Args:
            pdf: The file.

        Raises:
            FailedPrecondition: It is refused.
            Unavailable: The worker stopped.
        """
        ...


class StoredRendition(NamedTuple):
    """The columns of a version's row about its rendition.

    Attributes:
        prefix: Folder of its parts; the original's folder if the two are one stream.
        header: First 40 bytes of its stream.
        size: Its bytes.
        sha256: Of its bytes.
        findings: What was found in the original, as JSON; ``None`` for a merged rendition.
    """

    prefix: str
    header: bytes
    size: int
    sha256: bytes
    findings: str | None


@dataclass(frozen=True, slots=True)
class Rendered:
    """A document that was inspected.

    Attributes:
        pages: Its pages; empty if it is too large to be signed.
        rendition: Its stored rendition; ``None`` if it is too large to be signed.
    """

    pages: tuple[Page, ...] = ()
    rendition: StoredRendition | None = None


class Renditions:
    """Makes and stores the renditions of documents, or says why a document is refused.

    Args:
        sandbox: Makes them.
        encrypted_store: Stores them.
    """

    def __init__(self, sandbox: Sandbox, encrypted_store: EncryptedStore) -> None:
        self._sandbox = sandbox
        self.trials = Trials(sandbox)
        self._encrypted_store = encrypted_store
        self._places = Places(AT_ONCE)

    async def pages(self, pdf: bytes) -> tuple[Page, ...]:
        """Reads the pages of a PDF without storing anything.

        Args:
            pdf: The file.

        Raises:
            FailedPrecondition: It is refused.
            Unavailable: The worker stopped.
        """
        return _pages(await self._sandbox.render(pdf))

    async def make(self, content_id: ContentId, dek: bytes, pdf: bytes) -> Rendered:
        """Makes the rendition of a PDF in memory.

        Args:
            content_id: The version whose rendition is made.
            dek: The version's key.
            pdf: The file.

        Raises:
            FailedPrecondition: ``DOCUMENT_UNREADABLE``, ``DOCUMENT_ENCRYPTED`` or ``DOCUMENT_TOO_COMPLEX``.
            ResourceExhausted: The blob store is full.
            Unavailable: The worker stopped, or the blob store does not answer.
        """
        made = await self._sandbox.render(pdf)
        stream = self._encrypted_store.stream_under(content_id.for_rendition, dek)
        sha256 = await write_whole(stream, made.data)
        stored = StoredRendition(
            stream.prefix, stream.cipher.header, len(made.data), sha256, findings_to_text(made.facts)
        )
        return Rendered(_pages(made), stored)

    async def make_of_stored(self, content_id: ContentId, stream: Stream) -> Rendered:
        """Reads a stored document back and makes its rendition; makes none if it is too large for the sandbox.

        Args:
            content_id: The version whose rendition is made.
            stream: The whole stream, its size known.

        Raises:
            FailedPrecondition: It is refused.
            DataLoss: The stored bytes are not those that were written.
            ResourceExhausted: The blob store is full.
            Unavailable: The worker stopped, or the blob store does not answer.
        """
        if stream.size > MAX_PDF_BYTES:
            if b"%PDF-" not in (await stream.segment(0))[:HEAD]:
                raise FailedPrecondition("The file is not a PDF.", reason="DOCUMENT_UNREADABLE")
            return Rendered()
        async with self._places.place(content_id.tenant_id, small=stream.size <= SMALL):
            return await self.make(content_id, stream.dek, await read_whole(stream))


def _pages(rendition: Rendition) -> tuple[Page, ...]:
    return tuple(Page(page.width, page.height) for page in rendition.facts.pages)


async def read_whole(stream: Stream) -> bytes:
    """Reads a whole document into memory.

    Args:
        stream: The stream, its size known.

    Raises:
        DataLoss: The stored bytes are not those that were written.
        Unavailable: The blob store does not answer.
    """
    return b"".join([segment async for segment in stream.segments(range(segment_count(stream.size)))])
