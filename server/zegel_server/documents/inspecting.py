"""Looking into a document that came in, before it becomes one: in the PDF workshop's sandbox.

A PDF above the workshop's limit is stored without its pages, if it begins as a PDF does: it can be read and downloaded,
and not be sent out for signing.
"""

import asyncio
from typing import Final, Protocol

from zegel.segments import segment_count
from zegel_server.documents.model import Page
from zegel_server.documents.streams import Stream
from zegel_server.errors import FailedPrecondition
from zegel_server.pdf.limits import MAX_PDF_BYTES
from zegel_server.pdf.model import PdfFacts

AT_ONCE: Final = 2
"""Documents read back whole at a time: each may take `MAX_PDF_BYTES` of the server's own memory."""
HEAD: Final = 1024
"""Bytes within which a PDF says that it is one: it should in the first, and readers look so far (Adobe's PDF Reference,
sixth edition, appendix H)."""
REFUSED: Final = frozenset({"DOCUMENT_UNREADABLE", "DOCUMENT_ENCRYPTED", "DOCUMENT_TOO_COMPLEX"})
"""Reasons for which a document is refused for good."""


class Workshop(Protocol):
    """What of ``pdf.Workshop`` is needed here."""

    async def inspect(self, pdf: bytes) -> PdfFacts:
        """Looks at an untrusted PDF.

        Args:
            pdf: The file.

        Raises:
            FailedPrecondition: It is refused.
            Unavailable: The worker stopped.
        """
        ...


class Inspector:
    """Finds a document's pages, or why it is refused.

    Args:
        workshop: Looks into PDFs.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def pages(self, pdf: bytes) -> tuple[Page, ...]:
        """The pages of a PDF in memory.

        Args:
            pdf: The file.

        Raises:
            FailedPrecondition: ``DOCUMENT_UNREADABLE``, ``DOCUMENT_ENCRYPTED`` or ``DOCUMENT_TOO_COMPLEX``.
            Unavailable: The worker stopped.
        """
        facts = await self._workshop.inspect(pdf)
        return tuple(Page(page.width, page.height) for page in facts.pages)

    async def stored_pages(self, stream: Stream) -> tuple[Page, ...]:
        """The pages of a stored document, which is read back; none where it is too large for the workshop.

        Args:
            stream: The whole stream, its size known.

        Raises:
            FailedPrecondition: It is refused.
            DataLoss: What is stored is not what was written.
            Unavailable: The worker stopped, or the blob store does not answer.
        """
        if stream.size > MAX_PDF_BYTES:
            if b"%PDF-" not in (await stream.segment(0))[:HEAD]:
                raise FailedPrecondition("The file is not a PDF.", reason="DOCUMENT_UNREADABLE")
            return ()
        async with self._gate:
            return await self.pages(await read_whole(stream))


async def read_whole(stream: Stream) -> bytes:
    """A whole document in memory.

    Args:
        stream: The stream, its size known.

    Raises:
        DataLoss: What is stored is not what was written.
        Unavailable: The blob store does not answer.
    """
    return b"".join([segment async for segment in stream.segments(range(segment_count(stream.size)))])
