"""The input and output of PDF processing: plain values, no I/O.

Invariants:

* Imports neither gRPC nor a PDF library, since both sides of the sandbox use it.
* Field types are only ``str``, ``int``, ``float``, ``bool``, ``bytes``, ``datetime``, and lists, tuples and
  dataclasses of them, so that :mod:`zegel_server.pdf.sandbox.wire` can carry them.
* Positions are in points (1/72 inch) from the top left of the page as shown: after ``/Rotate``, within the
  ``/CropBox``, with ``/UserUnit`` applied.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

StampKind = Literal["text", "checkbox", "signature", "initials", "date"]
"""How a stamp is drawn: text shrunk to its box, a check mark, a signature with its caption, or a date."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of drawing a stamp as a trial.

    Args:
        refusal: Why it cannot be drawn or would be invisible; empty if neither is the case.
        cluster: The first letter or symbol of its text that no font has; empty if that is not the reason.
    """

    refusal: str
    cluster: str


@dataclass(frozen=True, slots=True)
class PageFacts:
    """One page as a reader shows it.

    Args:
        width: Width in points.
        height: Height in points.
    """

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a page as shown.

    Args:
        page: The page, from 1.
        x: Left edge in points from the left.
        y: Upper edge in points from the top.
        width: Width in points.
        height: Height in points.
    """

    page: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class PageDifference:
    """A page of a rendition that looks noticeably different from the original's, but not so different as to be refused.

    Args:
        page: The page, from 1.
        share: The share of its area that differs, from 0 to 1.
    """

    page: int
    share: float


FoundSignatureKind = Literal["approval", "certification", "timestamp"]
"""The purpose of a signature found in an original."""


@dataclass(frozen=True, slots=True)
class FoundSignature:
    """A digital signature found in an original.

    Args:
        kind: Its purpose.
        intact: Whether the signed bytes are unchanged; who signed is not checked.
        covers_whole_file: Whether nothing was added to the file after it.
    """

    kind: FoundSignatureKind
    intact: bool
    covers_whole_file: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found in an accepted PDF, and what of it the rendition no longer has.

    Args:
        pdf_version: The version in its header, such as ``1.7``.
        was_encrypted: It was encrypted with the empty password, so any reader opens it; the rendition is not encrypted.
        has_form: It has an AcroForm with fields, or an XFA form; the rendition shows the fields with their values.
        has_scripts: It has JavaScript, or an action that runs without a click; the rendition has neither.
        has_hidden_content: Its default configuration hides optional content; the rendition does not have that content.
        attachment_count: Number of files attached to it; the rendition has none.
        signatures: Its signatures; the rendition keeps their appearance, but not their validity.
        fonts_substituted: Names of fonts that it does not embed and that the rendition replaces with embedded ones.
        fonts_missing: Names of fonts that it does not embed and the rendition does not replace; each reader picks its
            own.
        is_tagged: It has structure tags; the rendition has none.
        has_outline: It has an outline; the rendition keeps it.
        link_count: Number of links in the rendition.
        has_page_labels: Its pages have labels; the rendition keeps them.
        language: The language it declares, such as ``de-AT``; empty if it declares none.
        differences: Pages whose rendition differs noticeably from the original.
    """

    pdf_version: str = ""
    was_encrypted: bool = False
    has_form: bool = False
    has_scripts: bool = False
    has_hidden_content: bool = False
    attachment_count: int = 0
    signatures: tuple[FoundSignature, ...] = ()
    fonts_substituted: tuple[str, ...] = ()
    fonts_missing: tuple[str, ...] = ()
    is_tagged: bool = False
    has_outline: bool = False
    link_count: int = 0
    has_page_labels: bool = False
    language: str = ""
    differences: tuple[PageDifference, ...] = ()


@dataclass(frozen=True, slots=True)
class PdfFacts(Findings):
    """The facts about an accepted PDF.

    Args:
        pages: Its pages in order; at least one.
    """

    pages: tuple[PageFacts, ...]

    @property
    def has_signatures(self) -> bool:
        """Whether it has been signed before."""
        return bool(self.signatures)

    @property
    def has_attachments(self) -> bool:
        """Whether it has attached files."""
        return self.attachment_count > 0


@dataclass(frozen=True, slots=True)
class Rendition:
    """The version of an original that signers see, and that the sealed file begins with.

    Args:
        data: The rendition, in canonical form.
        facts: What was found in the original; ``pages`` describes the rendition's pages.
    """

    data: bytes
    facts: PdfFacts


@dataclass(frozen=True, slots=True)
class Stamp:
    """Something to draw onto a page.

    Args:
        page: Page of the rendition, from 1.
        x: Left edge in points from the left of the page as shown.
        y: Upper edge in points from the top of the page as shown.
        width: Width in points.
        height: Height in points.
        kind: How to draw it.
        text: The text, the signer's typed name or the date; for a checkbox anything but the empty text checks it.
        image: A PNG of a drawn signature, used instead of the typed name.
        caption: Small print under a signature, such as name, date and signature id; lines are separated by line feeds.
    """

    page: int
    x: float
    y: float
    width: float
    height: float
    kind: StampKind
    text: str = ""
    image: bytes | None = None
    caption: str = ""


@dataclass(frozen=True, slots=True)
class AuditDocument:
    """An original on the audit page.

    Args:
        title: Its title.
        sha256: SHA-256 of the original in lower-case hexadecimal.
        pages: Number of its pages.
    """

    title: str
    sha256: str
    pages: int


@dataclass(frozen=True, slots=True)
class AuditParty:
    """A party on the audit page.

    Args:
        name: Name of the party.
        email: Address of the party.
        role: Recipient role, such as ``Signer``.
        status: Status in words, such as ``Signed``.
        time: When that status was reached, formatted for printing; empty if never.
        detail: How the party was identified, or other small print.
        day: The day of signing as it is drawn on the pages, with its time zone; empty if it is not.
    """

    name: str
    email: str
    role: str
    status: str
    time: str = ""
    detail: str = ""
    day: str = ""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """A row of the audit page's history.

    Args:
        time: When, in UTC, formatted for printing.
        text: What happened.
        who: Who did it.
    """

    time: str
    text: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class AuditOrigin:
    """From where a signer acted, on the audit page.

    Args:
        who: Name of the signer.
        acts: What the signer did from there, a line each.
        seen: Network address and program from which the call came, a line each.
        asserted: Network address, time zone and program of the signer as the caller says, a line each; empty if it
            says nothing.
    """

    who: str
    acts: str
    seen: str
    asserted: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """The readable audit page at the end of the signed PDF.

    Args:
        audit_id: The transaction's identifier in the audit log.
        title: Title of the signature request.
        tenant_name: The organisation that sent it.
        completed_time: When the last signature was made, in UTC, formatted for printing.
        documents: The originals, in order.
        parties: Signers and others, in order.
        events: The history, oldest first.
        origin: Name (origin) of the audit log.
        verify_hint: How to verify the file, such as a command line.
        origins: From where the signers acted, in the order in which they did.
    """

    audit_id: str
    title: str
    tenant_name: str
    completed_time: str
    documents: list[AuditDocument]
    parties: list[AuditParty]
    events: list[AuditEvent]
    origin: str
    verify_hint: str = ""
    origins: tuple[AuditOrigin, ...] = ()

    @property
    def row_count(self) -> int:
        """Rows of all its tables."""
        return len(self.documents) + len(self.parties) + len(self.events) + len(self.origins)


@dataclass(frozen=True, slots=True)
class CompletionJob:
    """Everything that is added to a rendition before it is sealed; the same job gives the same bytes.

    Args:
        rendition: The rendition.
        stamps: What to draw onto its pages, in order.
        audit: The audit page.
        files: The evidence files by name; the names are those of ``zegel.evidence.sealed_file.completion.FILES``.
        time: When the last party signed, with a time zone.
    """

    rendition: bytes
    stamps: list[Stamp]
    audit: AuditPage
    files: dict[str, bytes]
    time: datetime
