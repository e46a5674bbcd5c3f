"""Looking at a completed rendition before it is believed: its form, its pages, and what they show.

Invariants:

* What is looked at is the file itself, in a process that did not make it.
* It is what our own verifier will take, its signatures with it: what nobody could verify is not made.
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
from zegel_server.pdf.comparison import drawing, looking
from zegel_server.pdf.completion.completing import add, read_rendition
from zegel_server.pdf.model import Box, CompletionJob, PageFacts
from zegel_server.pdf.refusal import Refusal, RefusedError

_NEVER = datetime(2000, 1, 1, tzinfo=UTC)
"""The time of a rehearsal's texts."""


def preload() -> None:
    """Load what looks at pages."""
    drawing.preload()


def examine(sealed: bytes, boxes: Sequence[Box], certificates: Sequence[bytes]) -> list[PageFacts]:
    """Look at a sealed file.

    Args:
        sealed: The file.
        boxes: Where it may differ from its rendition.
        certificates: Certificates, DER, of which the self-issued ones are the roots that it has to lead to.

    Returns:
        Its pages.

    Raises:
        RefusedError: ``SEAL``: it is not in the form, no verifier could take its signatures for good, or it shows
            something else than its rendition.
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
    looking.compare_sealed(sealed[: file.rendition_length], sealed, list(boxes))
    rendition, second = read_revisions(sealed[: file.ends[1]])
    return [*_shown(rendition, completion.rendition_pages(rendition)), *_shown(second, file.completion.numbers.audit)]


def rehearse(job: CompletionJob) -> None:
    """Do for trial what completing will do, and look at it, under the same limits.

    Args:
        job: The rendition, and what would be added to it.

    Raises:
        RefusedError: It cannot be completed.
        FormError: The rendition is none.
    """
    rendition = read_rendition(job.rendition)
    added = add(job, rendition, Texts(job.audit.title, "", _NEVER, _NEVER))
    base = read_base(job.rendition, rendition)
    second = write_further(base, added.objects.items(), size=added.size, info=added.numbers.info)
    boxes = [Box(stamp.page, stamp.x, stamp.y, stamp.width, stamp.height) for stamp in job.stamps]
    looking.compare_sealed(job.rendition, job.rendition + second.data, boxes)


def _thousandths(box: Box) -> overlays.Box:
    return overlays.Box(box.page, *(round(each * 1000) for each in (box.x, box.y, box.width, box.height)))


def _shown(revision: Revision, pages: range) -> list[PageFacts]:
    shapes = [shape_of(entries_of(revision.objects, number)) for number in pages]
    return [PageFacts(float(shape.width), float(shape.height)) for shape in shapes]
