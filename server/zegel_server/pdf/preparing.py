"""Making the PDF that is to be sealed: originals, stamps, audit pages, evidence.

Invariants:

* The output is built anew: its catalogue has what is put there here, and nothing of an original but cleaned pages.
* The same job makes the same bytes: no random identifier, no clock.
* What an original draws cannot reach a stamp: its graphics state ends with it.
"""

from collections import defaultdict
from datetime import UTC
from hashlib import md5
from io import BytesIO

import pikepdf
from reportlab.pdfgen.canvas import Canvas

from zegel_server.pdf.audit_page import draw_audit_pages
from zegel_server.pdf.fonts import PLAIN_FONT
from zegel_server.pdf.geometry import Shown, shown
from zegel_server.pdf.limits import MAX_PAGES
from zegel_server.pdf.model import Attachment, PrepareJob, Stamp
from zegel_server.pdf.refusal import Refusal, RefusedError
from zegel_server.pdf.source import clean, open_source, scrub
from zegel_server.pdf.stamping import draw_stamp

PRODUCER = "Zegel"
_OVERLAY_NAME = "/ZegelStamp"
_CONTENT_NAME = "/ZegelPage"

_PAIRED_OPERATORS = {"q": "Q", "BT": "ET", "BMC": "EMC", "BDC": "EMC", "BX": "EX"}
_CLOSING_OPERATORS = frozenset(_PAIRED_OPERATORS.values())


def preload() -> None:
    """Do once what every job would otherwise do first."""
    Canvas(BytesIO(), invariant=1).save()


def prepare(job: PrepareJob) -> bytes:
    """Make the PDF that is to be sealed.

    Args:
        job: What it is made from.

    Returns:
        A PDF without signatures, whose pages are the originals' in order, and then the audit pages.

    Raises:
        RefusedError: An original or a stamp cannot be used.
    """
    with pikepdf.new() as output:
        counts = [_append(output, original) for original in job.originals]
        if len(output.pages) > MAX_PAGES:
            raise RefusedError(Refusal.TOO_MANY_PAGES)
        scrub(output)
        _draw(output, job, counts)
        _attach(output, job)
        _describe(output, job)
        written = BytesIO()
        output.remove_unreferenced_resources()
        output.save(
            written,
            min_version="1.7",
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
            deterministic_id=True,
        )
    return written.getvalue()


def _append(output: pikepdf.Pdf, original: bytes) -> int:
    with open_source(original) as source:
        clean(source)
        output.pages.extend(source.pages)
        return len(source.pages)


def _draw(output: pikepdf.Pdf, job: PrepareJob, counts: list[int]) -> None:
    """Draw stamps and audit pages, in one document of ours so that they share their fonts."""
    stamped = _by_page(job.stamps, counts)
    if not stamped and job.audit is None:
        return
    boxes = {index: shown(output.pages[index]) for index in stamped}
    drawn = BytesIO()
    canvas = Canvas(drawn, pageCompression=1, invariant=1, initialFontName=PLAIN_FONT)
    for index, stamps in stamped.items():
        canvas.setPageSize((boxes[index].width, boxes[index].height))
        for stamp in stamps:
            draw_stamp(canvas, stamp, boxes[index].height)
        canvas.showPage()
    if job.audit is not None:
        draw_audit_pages(canvas, job.audit)
    canvas.save()
    with pikepdf.open(drawn) as ours:
        for index, overlay in zip(stamped, list(ours.pages)[: len(stamped)], strict=True):
            _lay_over(output, output.pages[index], boxes[index], overlay)
        output.pages.extend(list(ours.pages)[len(stamped) :])


def _by_page(stamps: list[Stamp], counts: list[int]) -> dict[int, list[Stamp]]:
    """Stamps by the page of the output they are on, in the order of those pages."""
    found: defaultdict[int, list[Stamp]] = defaultdict(list)
    for stamp in stamps:
        if not (0 <= stamp.document < len(counts) and 1 <= stamp.page <= counts[stamp.document]):
            raise RefusedError(Refusal.STAMP_PLACE)
        found[sum(counts[: stamp.document]) + stamp.page - 1].append(stamp)
    return dict(sorted(found.items()))


def _lay_over(output: pikepdf.Pdf, page: pikepdf.Page, box: Shown, overlay: pikepdf.Page) -> None:
    """Draw a page of ours over a page, after the page's own content has ended for good."""
    resources = _resources_for_more(page)
    if resources is not None:
        page.contents_add(b"q\n", prepend=True)
        page.contents_add(b"\nQ")
    else:
        content = page.as_form_xobject(handle_transformations=False)
        page.obj.Contents = output.make_stream(f"q {_CONTENT_NAME} Do Q".encode())
        objects = pikepdf.Dictionary({_CONTENT_NAME: output.make_indirect(content)})
        resources = pikepdf.Dictionary(XObject=objects)
    name = _OVERLAY_NAME
    while name in resources.XObject:
        name += "_"
    resources.XObject[name] = output.copy_foreign(overlay.as_form_xobject())
    page.obj.Resources = resources
    numbers = " ".join(f"{number:.6f}" for number in box.matrix)
    page.contents_add(f"\nq {numbers} cm {name} Do Q".encode())


def _resources_for_more(page: pikepdf.Page) -> pikepdf.Dictionary | None:
    """A copy of a page's resources (pages may share theirs) to put more into.

    Returns:
        Nothing if the page's content does not close what it opens, or anything about it is out of shape: then it is to
        be shut into a form of its own, which ends where it ends.
    """
    try:
        resources = _copied(page.obj.Resources)
        resources.XObject = _copied(resources.get("/XObject"))
        return resources if _ends_cleanly(page) else None
    except Exception:  # noqa: BLE001 - names that are no text, operators inside arrays, and whatever comes next
        return None


def _copied(holder: pikepdf.Object | None) -> pikepdf.Dictionary:
    """A dictionary with the same entries; an empty one in place of anything else."""
    return pikepdf.Dictionary(dict(holder.items()) if isinstance(holder, pikepdf.Dictionary) else {})


def _ends_cleanly(page: pikepdf.Page) -> bool:
    """Whether a page's content closes all it opens, and nothing more."""
    open_scopes: list[str] = []
    for instruction in pikepdf.parse_content_stream(page):
        operator = str(instruction.operator)
        if operator in _PAIRED_OPERATORS:
            open_scopes.append(_PAIRED_OPERATORS[operator])
        elif operator in _CLOSING_OPERATORS and (not open_scopes or open_scopes.pop() != operator):
            return False
    return not open_scopes


def _attach(output: pikepdf.Pdf, job: PrepareJob) -> None:
    """Attach the evidence as associated files (ISO 32000-2, 7.11.4 and 14.13)."""
    if not job.attachments:
        return
    date = _date(job)
    files = {item.name: output.make_indirect(_file(output, item, date)) for item in job.attachments}
    names = pikepdf.Array([part for name in sorted(files) for part in (pikepdf.String(name), files[name])])
    output.Root.Names = pikepdf.Dictionary(EmbeddedFiles=pikepdf.Dictionary(Names=names))
    output.Root.AF = pikepdf.Array([files[item.name] for item in job.attachments])


def _file(output: pikepdf.Pdf, item: Attachment, date: str) -> pikepdf.Dictionary:
    stream = output.make_stream(
        item.data,
        Type=pikepdf.Name.EmbeddedFile,
        Subtype=pikepdf.Name("/" + item.mime),
        Params=pikepdf.Dictionary(
            Size=len(item.data),
            ModDate=date,
            # The format's own checksum; what the files are worth is proved by the seal.
            CheckSum=pikepdf.String(md5(item.data, usedforsecurity=False).digest()),
        ),
    )
    return pikepdf.Dictionary(
        Type=pikepdf.Name.Filespec,
        F=item.name,
        UF=item.name,
        Desc=item.description,
        AFRelationship=pikepdf.Name.Data,
        EF=pikepdf.Dictionary(F=stream, UF=stream),
    )


def _describe(output: pikepdf.Pdf, job: PrepareJob) -> None:
    date = _date(job)
    title = job.audit.title if job.audit else ""
    with output.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as metadata:
        if title:
            metadata["dc:title"] = title
        metadata["xmp:CreateDate"] = metadata["xmp:ModifyDate"] = job.time.astimezone(UTC).isoformat(timespec="seconds")
        metadata["pdf:Producer"] = PRODUCER
    output.docinfo["/Producer"] = PRODUCER
    output.docinfo["/CreationDate"] = output.docinfo["/ModDate"] = date
    if title:
        output.docinfo["/Title"] = title
        output.Root.ViewerPreferences = pikepdf.Dictionary(DisplayDocTitle=True)


def _date(job: PrepareJob) -> str:
    return job.time.astimezone(UTC).strftime("D:%Y%m%d%H%M%SZ")
