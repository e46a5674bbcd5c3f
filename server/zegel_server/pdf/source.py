"""Opening an untrusted PDF: the facts about it, and the cleaning that freezes its look.

Invariants:

* What is accepted has been repaired by qpdf, has no encryption, and none of its streams expands past the limits.
* After :func:`clean` the look of a page depends on its own content only: no form, annotation, script, action or layer
  adds to it.
"""

from dataclasses import replace
from io import BytesIO

import pikepdf

from zegel_server.pdf.appearances import complete_appearances
from zegel_server.pdf.expansion import check_expansion
from zegel_server.pdf.geometry import inherited, shown
from zegel_server.pdf.limits import (
    MAX_CONTENT_BYTES,
    MAX_FILTERS,
    MAX_OBJECTS,
    MAX_PAGES,
    MAX_PDF_BYTES,
    MAX_STREAM_BYTES,
)
from zegel_server.pdf.model import FoundSignature, PageFacts, PdfFacts
from zegel_server.pdf.optional_content import Visibility, freeze
from zegel_server.pdf.refusal import Refusal, RefusedError

_HEADER_WITHIN = 1024
"""Readers look for ``%PDF-`` in the first 1,024 bytes (ISO 32000-1, Annex H, note 13)."""

_PAGE_KEYS = {
    *("/Type", "/Parent", "/MediaBox", "/CropBox", "/BleedBox", "/TrimBox", "/ArtBox", "/Rotate", "/UserUnit"),
    *("/Resources", "/Contents", "/Group", "/Annots"),
}
"""What a page keeps: what makes its look, and its links."""

_LINK_KEYS = ("/Rect", "/Border", "/BS", "/C", "/QuadPoints", "/H")
_LINK_SCHEMES = (b"https://", b"http://", b"mailto:")


def set_library_limits() -> None:
    """Set qpdf's own limits, once for the process."""
    pikepdf.settings.set_qpdf_limits(
        max_stream_filters=MAX_FILTERS,
        flate_max_memory=MAX_CONTENT_BYTES,
        run_length_max_memory=MAX_CONTENT_BYTES,
        png_max_memory=MAX_STREAM_BYTES,
        tiff_max_memory=MAX_STREAM_BYTES,
        dct_max_memory=MAX_STREAM_BYTES,
    )


def open_source(data: bytes) -> pikepdf.Pdf:
    """Open an untrusted PDF.

    A file that is encrypted under the empty password is opened: every reader does so without asking, so there is
    nothing it keeps from anybody. One that asks for a password is refused, for its signers could not read what they
    sign.

    Args:
        data: The file.

    Raises:
        RefusedError: It is none, is damaged, encrypted or too large.
    """
    if not data:
        raise RefusedError(Refusal.EMPTY)
    if len(data) > MAX_PDF_BYTES:
        raise RefusedError(Refusal.TOO_LARGE)
    try:
        pdf = pikepdf.open(BytesIO(data), suppress_warnings=True)
        if len(pdf.objects) > MAX_OBJECTS:
            raise RefusedError(Refusal.TOO_MANY_OBJECTS)
        count = len(pdf.pages)
    except pikepdf.PasswordError:
        raise RefusedError(Refusal.ENCRYPTED) from None
    except pikepdf.PdfError:
        is_pdf = b"%PDF-" in data[:_HEADER_WITHIN]
        raise RefusedError(Refusal.DAMAGED if is_pdf else Refusal.NOT_A_PDF) from None
    if count == 0:
        raise RefusedError(Refusal.NO_PAGES)
    if count > MAX_PAGES:
        raise RefusedError(Refusal.TOO_MANY_PAGES)
    check_expansion(pdf)
    return pdf


def facts(pdf: pikepdf.Pdf) -> PdfFacts:
    """What a PDF is, before it is cleaned.

    Raises:
        RefusedError: A page has no size that can be shown.
    """
    pages = tuple(PageFacts(box.width, box.height) for box in map(shown, pdf.pages))
    found = PdfFacts(
        pages=pages,
        pdf_version=pdf.pdf_version,
        has_form=False,
        has_scripts=_has(pdf.Root, "/OpenAction")
        or _has(pdf.Root, "/AA")
        or _has(pdf.Root.get("/Names"), "/JavaScript"),
        has_hidden_content=Visibility(pdf).hides,
        attachment_count=int(_has(pdf.Root.get("/Names"), "/EmbeddedFiles")),
        was_encrypted=pdf.is_encrypted,
    )
    form = pdf.Root.get("/AcroForm")
    if isinstance(form, pikepdf.Dictionary):
        fields = form.get("/Fields")
        found = replace(found, has_form=(isinstance(fields, pikepdf.Array) and len(fields) > 0) or "/XFA" in form)
    for item in pdf.objects:
        if isinstance(item, pikepdf.Dictionary):
            if "/AA" in item or item.get("/S") in {pikepdf.Name.JavaScript, pikepdf.Name.Launch}:
                found = replace(found, has_scripts=True)
            if item.get("/FT") == pikepdf.Name.Sig and "/V" in item:
                found = replace(found, signatures=(FoundSignature("approval", intact=False, covers_whole_file=False),))
    return found


def clean(pdf: pikepdf.Pdf) -> None:
    """Freeze the look of a PDF's pages.

    Args:
        pdf: What :func:`open_source` returned; changed in place. Only its pages are of use afterwards.

    Raises:
        RefusedError: ``DYNAMIC_FORM``, if its pages are made only while it is being viewed.
    """
    if pdf.Root.get("/NeedsRendering", False):
        raise RefusedError(Refusal.DYNAMIC_FORM)
    for page in pdf.pages:
        _inherit(page)
    freeze(pdf, Visibility(pdf))
    _flatten(pdf)
    for page in pdf.pages:
        for key in set(page.obj.keys()) - _PAGE_KEYS:
            del page.obj[key]
        _keep_links(pdf, page)


def scrub(pdf: pikepdf.Pdf) -> None:
    """Remove what hangs on to single objects and would act, hide or fetch something.

    Args:
        pdf: A PDF of cleaned pages, before anything of our own is attached; changed in place.
    """
    for item in pdf.objects:
        if not isinstance(item, pikepdf.Dictionary | pikepdf.Stream):
            continue
        doomed = {
            "/AA",
            "/OC",
            "/OPI",
            "/Alternates",
            "/PieceInfo",
            "/Metadata",
            "/AF",
            "/StructParent",
            "/StructParents",
        }
        if isinstance(item, pikepdf.Stream):
            doomed |= {"/F", "/FFilter", "/FDecodeParms", "/PS"}  # data that lies in another file; PostScript
            if item.get("/Subtype") == pikepdf.Name.Form:
                doomed.add("/Ref")
        for key in doomed.intersection(item.keys()):
            del item[key]
        for holder in (item, item.get("/Resources")):
            _neutral_layers(holder)


def _neutral_layers(holder: pikepdf.Object | None) -> None:
    """Layers that content names stay named, but are layers no more."""
    properties = holder.get("/Properties") if isinstance(holder, pikepdf.Dictionary) else None
    if isinstance(properties, pikepdf.Dictionary):
        for name, content in list(properties.items()):
            if isinstance(content, pikepdf.Dictionary) and content.get("/Type") in {
                pikepdf.Name.OCG,
                pikepdf.Name.OCMD,
            }:
                properties[name] = pikepdf.Dictionary()


def _has(holder: pikepdf.Object | None, key: str) -> bool:
    return isinstance(holder, pikepdf.Dictionary) and key in holder


def _inherit(page: pikepdf.Page) -> None:
    """Write what a page inherits, as it is shown, onto the page itself, in well-formed values."""
    box = shown(page)
    resources = inherited(page, "/Resources")
    page.obj.Resources = resources if isinstance(resources, pikepdf.Dictionary) else pikepdf.Dictionary()
    page.obj.MediaBox = pikepdf.Array([box.left, box.bottom, box.right, box.top])
    page.obj.Rotate = box.rotate
    if box.unit != 1.0:
        page.obj.UserUnit = box.unit
    for key in ("/CropBox", "/BleedBox", "/TrimBox", "/ArtBox"):
        if key in page.obj:
            del page.obj[key]


def _flatten(pdf: pikepdf.Pdf) -> None:
    """Draw what form fields and annotations show into the pages."""
    form = pdf.Root.get("/AcroForm")
    left_to_reader = isinstance(form, pikepdf.Dictionary) and bool(form.get("/NeedAppearances", False))
    if left_to_reader:
        pdf.generate_appearance_streams()
    complete_appearances(pdf, redo_fields=left_to_reader)
    pdf.flatten_annotations("screen")


def _keep_links(pdf: pikepdf.Pdf, page: pikepdf.Page) -> None:
    """Leave links to the web, and the frames of other links; nothing else that a reader would act on.

    Each becomes an object of its own: validators take one inside the page for a change after the seal.
    """
    links = []
    annotations = page.obj.get("/Annots")
    for item in annotations.as_list() if isinstance(annotations, pikepdf.Array) else []:
        if isinstance(item, pikepdf.Dictionary) and item.get("/Subtype") == pikepdf.Name.Link and "/Rect" in item:
            link = pikepdf.Dictionary(Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Link, F=4)
            for key in _LINK_KEYS:
                if key in item:
                    link[key] = item[key]
            action = item.get("/A")
            target = action.get("/URI") if isinstance(action, pikepdf.Dictionary) else None
            if isinstance(target, pikepdf.String) and bytes(target).lower().startswith(_LINK_SCHEMES):
                link.A = pikepdf.Dictionary(S=pikepdf.Name.URI, URI=target)
            links.append(pdf.make_indirect(link))
    if links:
        page.obj.Annots = pikepdf.Array(links)
    elif "/Annots" in page.obj:
        del page.obj.Annots
