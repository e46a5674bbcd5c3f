"""Why a PDF is refused: the fixed set of reasons that a worker may give the server.

Invariants:

* A worker sends nothing but a :class:`Refusal`'s name, so no text from a file reaches a client or a log.
"""

from enum import StrEnum


class Refusal(StrEnum):
    """A reason, more specific than the public ``ErrorReason`` it belongs to."""

    EMPTY = "empty"
    NOT_A_PDF = "not_a_pdf"
    DAMAGED = "damaged"
    NO_PAGES = "no_pages"
    PAGE_SIZE = "page_size"
    ENCRYPTED = "encrypted"
    DYNAMIC_FORM = "dynamic_form"
    PORTFOLIO = "portfolio"
    TRUNCATED = "truncated"
    DIFFERS = "differs"
    TOO_LARGE = "too_large"
    TOO_MANY_PAGES = "too_many_pages"
    TOO_MANY_OBJECTS = "too_many_objects"
    EXPANDS = "expands"
    NESTED = "nested"
    MEMORY = "memory"
    TIME = "time"
    CRASHED = "crashed"
    IMAGE = "image"
    TEXT = "text"
    BLANK = "blank"
    SMALL = "small"
    STAMP_PLACE = "stamp_place"
    SEAL = "seal"
    DEFECT = "defect"


REASONS: dict[Refusal, tuple[str, str]] = {
    Refusal.EMPTY: ("DOCUMENT_UNREADABLE", "The file is empty."),
    Refusal.NOT_A_PDF: ("DOCUMENT_UNREADABLE", "The file is not a PDF."),
    Refusal.DAMAGED: ("DOCUMENT_UNREADABLE", "The PDF is damaged beyond repair."),
    Refusal.NO_PAGES: ("DOCUMENT_UNREADABLE", "The PDF has no page."),
    Refusal.PAGE_SIZE: ("DOCUMENT_UNREADABLE", "A page of the PDF has a size that cannot be shown."),
    Refusal.ENCRYPTED: ("DOCUMENT_ENCRYPTED", "The PDF opens only with a password; send it without one."),
    Refusal.DYNAMIC_FORM: (
        "DOCUMENT_UNREADABLE",
        "The PDF is a dynamic XFA form, whose pages exist only while it is viewed; print it to a PDF first.",
    ),
    Refusal.PORTFOLIO: (
        "DOCUMENT_UNREADABLE",
        "The PDF is a portfolio, whose documents are not on its pages; send each as a document of its own.",
    ),
    Refusal.TRUNCATED: ("DOCUMENT_UNREADABLE", "The PDF was cut off: pages have lost what was on them."),
    Refusal.DIFFERS: (
        "DOCUMENT_UNREADABLE",
        "Pages of the PDF cannot be drawn the same way once it is frozen for signing; print it to a PDF first.",
    ),
    Refusal.TOO_LARGE: ("DOCUMENT_TOO_COMPLEX", "The PDF is larger than 100 MiB."),
    Refusal.TOO_MANY_PAGES: ("DOCUMENT_TOO_COMPLEX", "The PDF has more than 2,000 pages."),
    Refusal.TOO_MANY_OBJECTS: ("DOCUMENT_TOO_COMPLEX", "The PDF has more than 500,000 objects."),
    Refusal.EXPANDS: ("DOCUMENT_TOO_COMPLEX", "The PDF expands to more than can be processed."),
    Refusal.NESTED: ("DOCUMENT_TOO_COMPLEX", "The PDF is nested too deeply."),
    Refusal.MEMORY: ("DOCUMENT_TOO_COMPLEX", "The PDF takes more memory than a document may."),
    Refusal.TIME: ("DOCUMENT_TOO_COMPLEX", "The PDF takes more time than a document may."),
    Refusal.CRASHED: ("DOCUMENT_TOO_COMPLEX", "The PDF broke the process that read it."),
}
"""Public reason and message of each refusal of a document; the other refusals are about the job."""


class RefusedError(Exception):
    """Raised in the worker to refuse a document or a job.

    Args:
        refusal: Why.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
