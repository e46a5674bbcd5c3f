"""Limits on the processing of PDFs, each with its reason.

They bound what a hostile file can cost: a 1.4 KB file can expand to 500 MB, and parsers can crash or loop.
"""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024

MAX_PDF_BYTES = 100 * MEBIBYTE
"""Bytes of one PDF for signing, and of all originals of a request together: three copies (input, object model, output)
fit into the worker's memory, and it is far more than any contract needs (Dropbox Sign stops at 40 MB)."""

MAX_PAGES = 2_000
"""Pages of a request: preparing a page takes about a millisecond, so the longest job stays well within its time
limit."""

MAX_OBJECTS = 500_000
"""Indirect objects of one file: cleaning visits each once; real 2,000-page files have about 50,000."""

MAX_PAGE_SIDE = 200 * 72.0 * 75
"""Longest side of a page in points (381 m): ISO 32000-1 Annex C allows 14,400 units, and UserUnit multiplies them by
up to 75. On a larger page, readers' coordinates lose precision."""

MIN_PAGE_SIDE = 0.5
"""Shortest side of a page in points: on a smaller page nothing can be seen, and a scale factor overflows."""

MAX_PAGE_TREE_DEPTH = 64
"""Levels of ``/Parent`` that are followed to find inherited attributes: a balanced page tree has 4."""

MAX_FORM_DEPTH = 24
"""Levels of nested form XObjects that are followed when hidden content is removed."""

MAX_LINKS = 10_000
"""Annotations of a page that are searched for links: a page of an index has about 300."""

MAX_OUTLINE_ITEMS = 20_000
"""Entries of an outline that are kept: ten on each of the 2,000 pages."""

MAX_NAMES = 200_000
"""Entries of a name tree that are read: large manuals have about 30,000 destinations."""

MAX_TEXT_BYTES = 4_096
"""Bytes of an outline entry's title or a page label's prefix: generous for a line of text."""

MAX_FOUND_SIGNATURES = 64
"""Signatures of an original that are checked and reported: no real document has more."""

MAX_FOUND_SIGNATURE_BYTES = 2 * MEBIBYTE
"""Bytes of one signature of an original: with its revocation lists it has about 100 KB."""

MAX_STREAM_BYTES = 192 * MEBIBYTE
"""Bytes that one image may expand to: an A4 page scanned at 600 dpi in colour has 104 MB of pixels."""

MAX_CONTENT_BYTES = 64 * MEBIBYTE
"""Bytes that any other stream, such as page content or a font, may expand to: large maps have about 20 MB."""

MAX_EXPANSION_BYTES = 1024 * MEBIBYTE
"""Bytes that all streams of a file together may expand to: measuring that much takes about three seconds."""

MAX_FILTERS = 4
"""Filters on one stream: real files have up to two; each nested Flate filter multiplies the expansion by up to
1,000."""

MAX_IMAGE_BYTES = 2 * MEBIBYTE
"""Bytes of a drawn signature's PNG file: 1,200 x 400 pixels of handwriting take about 30 KB."""

MAX_IMAGE_PIXELS = 4_000_000
"""Pixels of a drawn signature: 16 MB when decoded, and enough for 17 x 17 cm at 600 dpi."""

MAX_STAMPS = 20_000
"""Stamps of a request: ten on each of the 2,000 pages."""

MAX_STAMP_TEXT = 4_000
"""Characters of one stamp: a full page of small print."""

MAX_STAMP_LENGTH = 400_000
"""Characters of all stamps and captions together, drawn marks counted by their pixels. Fitting and drawing 2,000 takes
5 ms in Latin letters, 0.1 s in scripts that are shaped or drawn as outlines: all of them, at most a third of a job's
time."""

PIXELS_PER_CHARACTER = 1_000
"""Pixels of a drawn mark that count as one character: four million take 0.1 s or a little more, so marks alone take at
most a third of a job's time too. A mark of 1,200 x 400 pixels counts as 480."""

MAX_AUDIT_ROWS = 5_000
"""Documents, parties and events on the audit pages together: they fill about 250 pages; nobody would read more."""

MAX_RENDITION_BYTES = 160 * MEBIBYTE
"""Bytes of a rendition, of one document or several: an original's streams unchanged, its dictionaries uncompressed,
fonts added. With 64 MiB of evidence the file is still one that every verifier accepts."""

MAX_RESULT_BYTES = 400 * MEBIBYTE
"""Bytes of a worker's result: all originals and attachments, and the fonts and pages that the worker adds."""


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What one job may use, and how many jobs run at once.

    Args:
        memory_bytes: Address space of a job (``RLIMIT_AS``).
        cpu_seconds: Processor time of a job (``RLIMIT_CPU``).
        wall_seconds: Time from its start to its end.
        concurrency: Jobs at a time; 0 means as many as this process may use processors. Other jobs wait their turn.
        start_seconds: Time the zygote may take to start, until it accepts jobs.
    """

    memory_bytes: int = 1536 * MEBIBYTE
    cpu_seconds: int = 60
    wall_seconds: float = 90.0
    concurrency: int = 0
    start_seconds: float = 30.0
