"""Checking a completed rendition before it is trusted: its form, its pages, and what they show.

Invariants:

* The file itself is checked, in a process that did not make it.
* It must pass our own verifier, signatures included: no file is made that nobody could verify.
* Outside of the boxes that the request named, a page shows what its rendition shows, pixel for pixel.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from asn1crypto import x509

from zegel.evidence.sealed_file import completion, overlays
from zegel.evidence.sealed_file.completion import Texts
from zegel.evidence.sealed_file.reading import read_sealed_file
from zegel.evidence.sealed_file.rendition import entries_of, shape_of
from zegel.evidence.sealed_file.revisions import Revision, read_base, read_revisions, write_further
from zegel.evidence.sealed_file.syntax import FormError
from zegel.evidence.verification.container import ContainerError
from zegel.evidence.verification.path_rules import PathError
from zegel.evidence.verification.seal_form import SealFormError
from zegel.evidence.verification.signatures import SignatureError, Signatures
from zegel.evidence.verification.store import StoreError
from zegel_server.pdf.comparison import drawing, file_comparison
from zegel_server.pdf.completion.completing import add, read_rendition
from zegel_server.pdf.model import Box, CompletionJob, PageFacts
from zegel_server.pdf.refusal import Refusal, RefusedError

_NEVER = datetime(2000, 1, 1, tzinfo=UTC)
"""The time of a rehearsal's texts."""


def preload() -> None:
    """Load what is needed to look at pages."""
    drawing.preload()


def examine(sealed: bytes, boxes: Sequence[Box], certificates: Sequence[bytes]) -> list[PageFacts]:
    """Check a sealed file.

    Args:
        sealed: The file.
        boxes: Where it may differ from its rendition.
        certificates: Certificates, DER; the self-issued ones are the roots that its chains must end in.

    Returns:
        Its pages.

    Raises:
        RefusedError: ``SEAL``: it is not in the right form, no verifier could accept its signatures, or it shows
            something other than its rendition.
    """
    roots = [each for each in map(x509.Certificate.load, certificates) if each.self_issued]
    try:
        file = read_sealed_file(sealed)
        signatures = Signatures(file, roots, roots)
        # At the time that it was given: this process has no clock to rely on.
        signatures.check_timestamps(None)
        signatures.check_seal()
    except (FormError, ContainerError, PathError, SealFormError, SignatureError, StoreError) as error:
        raise RefusedError(Refusal.SEAL) from error
    allowed = {_thousandths(box) for box in boxes}
    if not set(file.completion.boxes) <= allowed:
        raise RefusedError(Refusal.SEAL)
    file_comparison.compare_sealed(sealed[: file.rendition_length], sealed, list(boxes))
    rendition, second = read_revisions(sealed[: file.ends[1]])
    return [*_shown(rendition, completion.rendition_pages(rendition)), *_shown(second, file.completion.numbers.audit)]


def rehearse(job: CompletionJob) -> None:
    """Complete a rendition as a trial and check the result, under the same limits as for real.

    Args:
        job: The rendition, and what would be added to it.

    Raises:
        RefusedError: It cannot be completed.
        FormError: It is not a rendition.
    """
    rendition = read_rendition(job.rendition)
    added = add(job, rendition, Texts(job.audit.title, "", _NEVER, _NEVER))
    base = read_base(job.rendition, rendition)
    second = write_further(base, added.objects.items(), size=added.size, info=added.numbers.info)
    boxes = [Box(stamp.page, stamp.x, stamp.y, stamp.width, stamp.height) for stamp in job.stamps]
    file_comparison.compare_sealed(job.rendition, job.rendition + second.data, boxes)


def _thousandths(box: Box) -> overlays.Box:
    return overlays.Box(box.page, *(round(each * 1000) for each in (box.x, box.y, box.width, box.height)))


def _shown(revision: Revision, pages: range) -> list[PageFacts]:
    shapes = [shape_of(entries_of(revision.objects, number)) for number in pages]
    return [PageFacts(float(shape.width), float(shape.height)) for shape in shapes]
