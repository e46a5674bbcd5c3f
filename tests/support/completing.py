"""Renditions completed in this process, without a seal, and drawn by two renderers."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pikepdf
import pypdfium2  # type: ignore[import-untyped]
from PIL import Image

from support.sealed import AUDIT, make_rendition
from support.tools import tool
from zegel.evidence.sealed_file.completion import FILES, Texts
from zegel.evidence.sealed_file.revisions import read_base, write_further
from zegel_server.pdf.completion.completing import add, read_rendition
from zegel_server.pdf.model import AuditPage, CompletionJob, Stamp

TIME = datetime(2026, 11, 24, 7, 9, 33, tzinfo=UTC)
EVIDENCE = {file.name: f"this is {file.name}\n".encode() for file in FILES}

rendition_of = cache(make_rendition)
"""Returns a PDF's rendition, made once and cached."""


def make_job(original: bytes, *stamps: Stamp, audit: AuditPage = AUDIT) -> CompletionJob:
    """Returns a completion job for the rendition of a PDF.

    Args:
        original: The PDF as uploaded.
        stamps: The stamps to draw.
        audit: The audit page.
    """
    return CompletionJob(rendition_of(original), list(stamps), audit, EVIDENCE, TIME)


def completed(job: CompletionJob) -> bytes:
    """Returns a rendition with its second revision, in which the seal's place is empty.

    Args:
        job: The job to run.
    """
    rendition = read_rendition(job.rendition)
    added = add(job, rendition, Texts(job.audit.title, "Completed", TIME, TIME))
    base = read_base(job.rendition, rendition)
    second = write_further(base, added.objects.items(), size=added.size, info=added.numbers.info)
    return job.rendition + second.data


def stamped(original: bytes, *stamps: Stamp) -> bytes:
    """Returns the completed rendition of a PDF.

    Args:
        original: The PDF as uploaded.
        stamps: The stamps to draw.
    """
    return completed(make_job(original, *stamps))


def with_audit(**changes: object) -> AuditPage:
    """Returns the tests' usual audit page, with changes.

    Args:
        changes: The fields to change.
    """
    return replace(AUDIT, **changes)  # type: ignore[arg-type]


def opened(pdf: bytes) -> pikepdf.Pdf:
    """Opens a PDF to inspect its objects."""
    return pikepdf.open(BytesIO(pdf))


def pdfium(pdf: bytes, page: int, width: int, height: int) -> Image.Image:
    """Returns a page as drawn by PDFium, in the given size in pixels.

    Args:
        pdf: The PDF.
        page: The page's index, from 0.
        width: Columns of pixels.
        height: Rows of pixels.
    """
    document = pypdfium2.PdfDocument(pdf)
    try:
        own = document[page].get_size()
        drawn = document[page].render(scale=max(width / own[0], height / own[1]), may_draw_forms=False)
        picture: Image.Image = drawn.to_pil().convert("RGB")
    finally:
        document.close()
    return picture.resize((width, height))


def poppler(pdf: bytes, page: int, width: int, height: int) -> Image.Image:
    """Returns a page as drawn by Poppler, in the given size in pixels; see :func:`pdfium`."""
    return poppler_pages(pdf, page, page, ("-scale-to", str(max(width, height))))[0].resize((width, height))


def poppler_pages(pdf: bytes, first: int, last: int, scale: Sequence[str] = ("-r", "50")) -> list[Image.Image]:
    """Returns pages as drawn by Poppler.

    Args:
        pdf: The PDF.
        first: Index of the first page, from 0.
        last: Index of the last page.
        scale: Arguments of pdftoppm for the size.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.pdf").write_bytes(pdf)
        command = [str(tool("pdftoppm")), "-f", str(first + 1), "-l", str(last + 1), *scale, "in.pdf", "out"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return [Image.open(path).convert("RGB") for path in sorted(folder.glob("out*.ppm"))]
