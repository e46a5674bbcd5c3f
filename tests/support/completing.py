"""Renditions completed without their seal, in this process; and two renderers' looks at what they show."""

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
"""A PDF's rendition, made once."""


def make_job(original: bytes, *stamps: Stamp, audit: AuditPage = AUDIT) -> CompletionJob:
    """A job over the rendition of a PDF.

    Args:
        original: The PDF as uploaded.
        stamps: What is drawn.
        audit: The audit page.
    """
    return CompletionJob(rendition_of(original), list(stamps), audit, EVIDENCE, TIME)


def completed(job: CompletionJob) -> bytes:
    """A rendition with its second revision, in which the seal's place is empty.

    Args:
        job: What it is made from.
    """
    rendition = read_rendition(job.rendition)
    added = add(job, rendition, Texts(job.audit.title, "Completed", TIME, TIME))
    base = read_base(job.rendition, rendition)
    second = write_further(base, added.objects.items(), size=added.size, info=added.numbers.info)
    return job.rendition + second.data


def stamped(original: bytes, *stamps: Stamp) -> bytes:
    """The completed rendition of a PDF.

    Args:
        original: The PDF as uploaded.
        stamps: What is drawn.
    """
    return completed(make_job(original, *stamps))


def with_audit(**changes: object) -> AuditPage:
    """The audit page of tests with changes.

    Args:
        changes: Its fields that differ.
    """
    return replace(AUDIT, **changes)  # type: ignore[arg-type]


def opened(pdf: bytes) -> pikepdf.Pdf:
    """A PDF for a look at its objects."""
    return pikepdf.open(BytesIO(pdf))


def pdfium(pdf: bytes, page: int, width: int, height: int) -> Image.Image:
    """A page as PDFium draws it, in so many pixels.

    Args:
        pdf: The PDF.
        page: Which page, from 0.
        width: Columns.
        height: Rows.
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
    """A page as poppler draws it, in so many pixels; see :func:`pdfium`."""
    return poppler_pages(pdf, page, page, ("-scale-to", str(max(width, height))))[0].resize((width, height))


def poppler_pages(pdf: bytes, first: int, last: int, scale: Sequence[str] = ("-r", "50")) -> list[Image.Image]:
    """Pages as poppler draws them.

    Args:
        pdf: The PDF.
        first: The first page, from 0.
        last: The last one.
        scale: What pdftoppm is told of their size.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.pdf").write_bytes(pdf)
        command = [str(tool("pdftoppm")), "-f", str(first + 1), "-l", str(last + 1), *scale, "in.pdf", "out"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return [Image.open(path).convert("RGB") for path in sorted(folder.glob("out*.ppm"))]
