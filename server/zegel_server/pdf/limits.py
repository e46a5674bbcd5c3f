"""The limits of the PDF work, each with its reason.

They bound what a hostile file can cost: a 1.4 KB file can expand to 500 MB, and parsers crash or loop.
"""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024

MAX_PDF_BYTES = 100 * MEBIBYTE
"""One PDF for signing, and all originals of a request together: what fits into the worker's memory three times over
(input, object model, output), and far above any contract (Dropbox Sign stops at 40 MB)."""

MAX_PAGES = 2_000
"""Pages of a request: a prepared page costs about a millisecond, so the longest job stays well inside its time."""

MAX_OBJECTS = 500_000
"""Indirect objects of one file: each is looked at once while cleaning; real 2,000-page files have some 50,000."""

MAX_PAGE_SIDE = 200 * 72.0 * 75
"""Longest side of a page in points (381 m): ISO 32000-1 Annex C allows 14,400 units, and UserUnit multiplies them by
up to 75. Beyond it coordinates lose their precision in readers."""

MIN_PAGE_SIDE = 0.5
"""Shortest side of a page in points: below it nothing can be seen, and a scale factor overflows."""

MAX_PAGE_TREE_DEPTH = 64
"""Levels of ``/Parent`` that are followed for inherited attributes: balanced trees have 4."""

MAX_FORM_DEPTH = 24
"""Levels of form XObjects that are followed when hidden content is taken out."""

MAX_LINKS = 10_000
"""Annotations of a page that are looked at for links: a page of an index has some 300."""

MAX_OUTLINE_ITEMS = 20_000
"""Entries of an outline that are kept: ten on each of the 2,000 pages."""

MAX_NAMES = 200_000
"""Entries of a name tree that are looked at: large manuals have some 30,000 destinations."""

MAX_TEXT_BYTES = 4_096
"""Bytes of an outline entry's title or a page label's prefix: a line of text, with room."""

MAX_FOUND_SIGNATURES = 64
"""Signatures of an original that are checked and told of: more than that sign no document."""

MAX_FOUND_SIGNATURE_BYTES = 2 * MEBIBYTE
"""A signature of an original: with its revocation lists it has some 100 KB."""

MAX_STREAM_BYTES = 192 * MEBIBYTE
"""What one picture may expand to: an A4 page scanned at 600 dpi in colour has 104 MB of pixels."""

MAX_CONTENT_BYTES = 64 * MEBIBYTE
"""What any other stream may expand to: drawing instructions and fonts; large maps have some 20 MB."""

MAX_EXPANSION_BYTES = 1024 * MEBIBYTE
"""What all streams of a file may expand to together: it costs some three seconds to find out."""

MAX_FILTERS = 4
"""Filters on one stream: real files have two; nested Flate multiplies its ratio of 1:1000 with every level."""

MAX_IMAGE_BYTES = 2 * MEBIBYTE
"""A drawn signature as a PNG file: 1,200 x 400 pixels of ink have about 30 KB."""

MAX_IMAGE_PIXELS = 4_000_000
"""Pixels of a drawn signature: 16 MB when decoded; enough for 600 dpi on 17 x 17 cm."""

MAX_STAMPS = 20_000
"""Stamps of a request: ten on each of the 2,000 pages."""

MAX_STAMP_TEXT = 4_000
"""Characters of one stamp: a full page of small print."""

MAX_STAMP_TEXT_TOTAL = 400_000
"""Characters of all stamps and captions together: fitting and drawing 2,000 takes 5 ms in Latin letters and 0.1 s in
shaped or outlined scripts, so all of them a third of a job's time."""

MAX_AUDIT_ROWS = 5_000
"""Documents, parties and events on the audit pages together: some 250 pages; more is not for reading."""

MAX_RENDITION_BYTES = 160 * MEBIBYTE
"""A rendition, of one document or of several: an original's streams as they are, its dictionaries spelled out, fonts
put in; with 64 MiB of evidence it is still a file that every verifier takes."""

MAX_RESULT_BYTES = 400 * MEBIBYTE
"""What the worker may hand back: all originals, all attachments, fonts and pages of its own."""


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What one job may use, and how many run side by side.

    Args:
        memory_bytes: Address space of a job (``RLIMIT_AS``).
        cpu_seconds: Processor time of a job (``RLIMIT_CPU``).
        wall_seconds: Time from its start to its end.
        concurrency: Jobs at a time; 0 for the number of processors this process may use. The others wait in order.
        start_seconds: Time the zygote may take until it can take jobs.
    """

    memory_bytes: int = 1536 * MEBIBYTE
    cpu_seconds: int = 60
    wall_seconds: float = 90.0
    concurrency: int = 0
    start_seconds: float = 30.0
