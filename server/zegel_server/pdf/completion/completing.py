"""What is added to a rendition once everybody has signed, but for the seal: stamps, audit pages, evidence.

Invariants:

* The rendition's bytes stay as they are: everything is a second revision, appended to them (``docs/sealed-file.md``).
* The same job gives the same bytes: no random identifiers, no clock.
* A stamp is a form XObject clipped to its box, whatever is drawn in it.
"""

import math
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from io import BytesIO

import pikepdf
from reportlab.pdfgen.canvas import Canvas

from zegel.evidence.sealed_file.completion import Numbers, Texts, head_objects, rendition_pages
from zegel.evidence.sealed_file.overlays import Box, stamp_extent
from zegel.evidence.sealed_file.rendition import PAGE_TREE, check_rendition
from zegel.evidence.sealed_file.revisions import Revision, read_revisions
from zegel.evidence.sealed_file.syntax import FormError, Name, Ref, Stream, Value
from zegel_server.pdf.canonical import Converter, packed
from zegel_server.pdf.completion.audit_page import PAGE_HEIGHT, PAGE_WIDTH, draw_audit_pages
from zegel_server.pdf.completion.stamping import draw_stamp
from zegel_server.pdf.fonts.typesetting import PLAIN_FONT
from zegel_server.pdf.limits import MAX_PAGE_SIDE
from zegel_server.pdf.model import CompletionJob, Stamp
from zegel_server.pdf.refusal import Refusal, RefusedError


def preload() -> None:
    """Do once what every job would otherwise do first."""
    Canvas(BytesIO(), invariant=1).save()


class Added:
    """The objects of a second revision that waits for its seal.

    Attributes:
        rendition: The first revision.
        numbers: Numbers of its objects.
        objects: The objects, in the order of their numbers.
        size: One more than the largest number.
    """

    def __init__(self, rendition: Revision, numbers: Numbers, objects: dict[int, Value]) -> None:
        self.rendition = rendition
        self.numbers = numbers
        self.objects = objects
        self.size = max(objects) + 1


def read_rendition(data: bytes) -> Revision:
    """A rendition's one revision.

    Args:
        data: The rendition.

    Raises:
        FormError: It is not a rendition.
    """
    revisions = read_revisions(data)
    check_rendition(revisions[0].objects)
    if len(revisions) != 1:
        raise FormError("a rendition has one revision")
    return revisions[0]


def add(job: CompletionJob, rendition: Revision, texts: Texts) -> Added:
    """Draw stamps and audit pages, and make the objects of the second revision.

    Args:
        job: What they are made from.
        rendition: The rendition.
        texts: The texts with which the revision describes itself.

    Raises:
        RefusedError: A stamp lies on no page, or cannot be drawn.
    """
    stamped = _by_page(job.stamps, len(rendition_pages(rendition)))
    drawn = BytesIO()
    canvas = Canvas(drawn, pageCompression=1, invariant=1, initialFontName=PLAIN_FONT)
    for stamp in (stamp for stamps in stamped.values() for stamp in stamps):
        canvas.setPageSize((stamp.width, stamp.height))
        draw_stamp(canvas, replace(stamp, x=0.0, y=0.0), stamp.height)
        canvas.showPage()
    audit_pages = draw_audit_pages(canvas, job.audit)
    canvas.save()
    boxes = {page: [box_of(stamp) for stamp in stamps] for page, stamps in stamped.items()}
    numbers = Numbers(rendition.size, len(stamped), audit_pages)
    objects = head_objects(rendition, numbers, texts, job.files, boxes)
    with pikepdf.open(drawn) as ours:
        count = sum(map(len, boxes.values()))
        pages = list(ours.pages)
        converter = Converter(numbers.first_drawn + count)
        flat = [box for each in boxes.values() for box in each]
        # Breadth first, as the form numbers them: the stamps themselves come first, then what audit pages lead to.
        stamps = list(zip(flat, pages[:count], strict=True))
        objects |= _audit(converter, numbers, pages[count:])
        for index, (box, page) in enumerate(stamps):
            objects[numbers.first_drawn + index] = _stamp(converter, box, page)
        objects.update(converter.follow())
    return Added(rendition, numbers, dict(sorted(objects.items())))


def box_of(stamp: Stamp) -> Box:
    """A stamp's box in thousandths of a point.

    Args:
        stamp: The stamp.
    """
    return Box(stamp.page, *(round(each * 1000) for each in (stamp.x, stamp.y, stamp.width, stamp.height)))


def _by_page(stamps: list[Stamp], pages: int) -> dict[int, list[Stamp]]:
    """Stamps by the page that they are on, in the order of those pages."""
    found: defaultdict[int, list[Stamp]] = defaultdict(list)
    for stamp in stamps:
        sides = (stamp.x, stamp.y, stamp.width, stamp.height)
        if (
            not 1 <= stamp.page <= pages
            or not all(math.isfinite(each) and abs(each) <= MAX_PAGE_SIDE for each in sides)
            or min(box_of(stamp).width, box_of(stamp).height) <= 0
        ):
            raise RefusedError(Refusal.STAMP_PLACE)
        found[stamp.page].append(stamp)
    return dict(sorted(found.items()))


def _stamp(converter: Converter, box: Box, page: pikepdf.Page) -> Stream:
    """A drawn page as a form XObject clipped to its box."""
    entries: dict[str, Value] = {
        "Type": Name("XObject"),
        "Subtype": Name("Form"),
        "BBox": stamp_extent(box),
        "Resources": _resources(converter, page),
    }
    return packed(entries, page.obj.Contents.read_bytes())


def _audit(converter: Converter, numbers: Numbers, pages: list[pikepdf.Page]) -> dict[int, Value]:
    found: dict[int, Value] = {}
    for number, page in zip(numbers.audit, pages, strict=True):
        entries: dict[str, Value] = {
            "Contents": converter.reference(page.obj.Contents),
            "MediaBox": [0, 0, Decimal(str(PAGE_WIDTH)), Decimal(str(PAGE_HEIGHT))],
            "Parent": Ref(PAGE_TREE),
            "Resources": _resources(converter, page),
            "Type": Name("Page"),
        }
        if number == numbers.first_audit_page:
            entries["Annots"] = Ref(numbers.widgets)
        found[number] = entries
    return found


def _resources(converter: Converter, page: pikepdf.Page) -> dict[str, Value]:
    """A drawn page's resources; reportlab has one font dictionary for all pages."""
    resources = page.obj.Resources
    found: dict[str, Value] = {}
    for key in sorted(resources.keys()):
        named = resources[key]
        if key == "/ProcSet" or not isinstance(named, pikepdf.Dictionary) or not len(named):
            continue
        found[key[1:]] = converter.entries(named)
    return found
