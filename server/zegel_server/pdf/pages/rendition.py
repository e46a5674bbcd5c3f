"""The rendition of an upload: the PDF that signers are shown, and that the sealed file begins with, byte for byte.

Invariants:

* The rendition's pages show what a screen shows of the upload, and the file holds nothing else: no form, annotation,
  script, layer, attachment, or unused object.
* A page's content closes everything it opens, so that what is drawn later is where it was put.
* The same upload gives the same bytes, and a rendition can be rendered again.
* The result has been compared with the upload: what cannot be frozen as it looks is refused here, and not after
  everybody has signed.
"""

from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from typing import Any

import pikepdf

from zegel_server.pdf import canonical
from zegel_server.pdf.comparison.file_comparison import compare_rendition
from zegel_server.pdf.fonts.embedding import FontReport, embed_fonts
from zegel_server.pdf.geometry import Matrix, Shown, clear_lost_crop, inherited, shown
from zegel_server.pdf.model import PageDifference, Rendition
from zegel_server.pdf.pages.annotations import appearances, lend_fonts
from zegel_server.pdf.pages.appearances import complete_appearances
from zegel_server.pdf.pages.content import balanced
from zegel_server.pdf.pages.decoding import decoded
from zegel_server.pdf.pages.incomplete_operators import stops_readers
from zegel_server.pdf.pages.navigation import Link, Navigation, attach_labels, attach_links, attach_outline
from zegel_server.pdf.pages.optional_content import Visibility
from zegel_server.pdf.pages.page_filter import PageFilter, shallow
from zegel_server.pdf.pages.source import demand_pages, facts, open_source
from zegel_server.pdf.refusal import Refusal, RefusedError

_PAGE_NAME = "/ZegelPage"
"""The name of a page's own content if it is put into a form."""

_FORM_NAME = "/ZegelForm"
"""Prefix of the names of flattened forms and annotations among a page's resources."""


def render(data: bytes) -> Rendition:
    """Make the rendition of an untrusted PDF.

    Args:
        data: The file.

    Raises:
        RefusedError: It cannot be used; says why.
    """
    with open_source(data) as source:
        found = facts(source.pdf, data)
        demand_pages(source)
        draft = _Draft(source.pdf)
        fonts, written = draft.write(embed=True)
        try:
            differences = compare_rendition(source.data, written)
        except RefusedError:
            fonts, written, differences = _second_look(source.data, draft, fonts, written)
    found = replace(
        found, fonts_substituted=fonts.substituted, fonts_missing=fonts.missing, differences=differences, **draft.told
    )
    return Rendition(written, found)


def _second_look(
    data: bytes, draft: "_Draft", fonts: FontReport, written: bytes
) -> tuple[FontReport, bytes, tuple[PageDifference, ...]]:
    """Compare again what differs, without known causes of differences.

    PDFium leaves out some annotations that other viewers draw themselves: with their appearances given, it draws them.
    It shows nothing of a page whose crop box is outside of it; others then use the page's media box.
    A font of ours may differ too much from what viewers choose: then all fonts are left to them, which is reported to
    the sender.

    Raises:
        RefusedError: ``DIFFERS``, if nothing explains it.
    """
    eased = _eased(data)
    tries = [(eased, True)] if eased else []
    if fonts.substituted:
        tries += [(original, False) for original in (data, eased) if original]
    left_out = FontReport((), tuple(sorted({*fonts.substituted, *fonts.missing})))
    for original, embed in tries:
        report, made = (fonts, written) if embed else (left_out, draft.write(embed=False)[1])
        with suppress(RefusedError):
            return report, made, compare_rendition(original, made)
    raise RefusedError(Refusal.DIFFERS)


def _eased(data: bytes) -> bytes | None:
    """An upload that leaves less to each reader, otherwise unchanged; ``None`` if there is nothing to change."""
    written = BytesIO()
    with pikepdf.open(BytesIO(data), suppress_warnings=True) as pdf:
        eased = [clear_lost_crop(page) for page in pdf.pages]
        if not complete_appearances(pdf) and not any(eased):
            return None
        form = pdf.Root.get("/AcroForm")
        if isinstance(form, pikepdf.Dictionary) and "/NeedAppearances" in form:
            del form["/NeedAppearances"]
        pdf.save(written, encryption=False)
    return written.getvalue()


class _Draft:
    """What a rendition is written from.

    Args:
        pdf: The upload; changed in place.
    """

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._navigation, visibility = Navigation(pdf), Visibility(pdf)
        self._links = [self._navigation.links(page.obj, visibility) for page in pdf.pages]
        complete_appearances(pdf)
        lend_fonts(pdf)
        page_filter = PageFilter(pdf, visibility)
        self._pages = [_page(pdf, page, page_filter, visibility) for page in pdf.pages]
        page_filter.finish()
        self.told: dict[str, Any] = {
            "has_hidden_content": visibility.hides,
            "link_count": sum(map(len, self._links)),
            "language": self._navigation.language(),
        }

    def write(self, *, embed: bool) -> tuple[FontReport, bytes]:
        """Write the rendition.

        Args:
            embed: Whether missing fonts are embedded.
        """
        with pikepdf.new() as output:
            for page in self._pages:
                output.pages.append(pikepdf.Page(page))
            fonts = embed_fonts(output) if embed else FontReport()
            _attach(output, self._navigation, self._links)
            return fonts, canonical.write(output)


def _page(pdf: pikepdf.Pdf, page: pikepdf.Page, page_filter: PageFilter, visibility: Visibility) -> pikepdf.Object:
    """A page of the rendition, without its links."""
    box = shown(page)
    resources = _resources(inherited(page.obj, "/Resources"))
    own = balanced(_joined(page.obj.get("/Contents")))
    if stops_readers(own):
        own, resources = _set_apart(pdf, own, resources, box)
    drawn = [(_named(resources, stream), matrix) for stream, matrix in appearances(page.obj, visibility, box.rotate)]
    content, used = page_filter.page(_content(own, drawn), resources)
    made = pikepdf.Dictionary(
        Type=pikepdf.Name.Page, MediaBox=_media_box(box), Contents=pdf.make_stream(content), Resources=used
    )
    if box.rotate:
        made.Rotate = box.rotate
    if box.unit != 1.0:
        made.UserUnit = box.unit
    group = page_filter.group(page.obj.get("/Group"))
    if group is not None:
        made.Group = group
    return pdf.make_indirect(made)


def _set_apart(
    pdf: pikepdf.Pdf, own: bytes, resources: pikepdf.Dictionary, box: Shown
) -> tuple[bytes, pikepdf.Dictionary]:
    """Put a page's content into a form, so that a reader that stops in it continues after it."""
    form = pdf.make_stream(
        own,
        Type=pikepdf.Name.XObject,
        Subtype=pikepdf.Name.Form,
        BBox=_media_box(box),
        Resources=resources,
    )
    named = _resources(pikepdf.Dictionary())
    named.XObject[_PAGE_NAME] = form
    return _PAGE_NAME.encode() + b" Do", named


def _content(own: bytes, drawn: list[tuple[str, Matrix]]) -> bytes:
    """The page's own content, enclosed, and what is drawn over it."""
    if not drawn:
        return b"q\n" + own + b"\nQ\n"
    calls = b"".join(
        b"q %s cm %s Do Q\n" % (" ".join(f"{value:.6f}" for value in matrix).encode(), name.encode())
        for name, matrix in drawn
    )
    return b"q\nq\n" + own + b"\nQ\n" + calls + b"Q\n"


def _joined(contents: object) -> bytes:
    """A page's content: its parts are read as if white space stood between them (ISO 32000-1, 7.8.2)."""
    parts = contents.as_list() if isinstance(contents, pikepdf.Array) else [contents]
    return b"\n".join(decoded(part) or b"" for part in parts if isinstance(part, pikepdf.Stream))


def _resources(given: object) -> pikepdf.Dictionary:
    """A copy of a page's resources, to whose forms and pictures more can be added."""
    found = shallow(given)
    found.XObject = shallow(found.get("/XObject"))
    return found


def _named(resources: pikepdf.Dictionary, stream: pikepdf.Stream) -> str:
    """The name that an appearance gets among a page's resources."""
    number = 1
    name = f"{_FORM_NAME}{len(resources.XObject)}"
    while name in resources.XObject:
        name, number = f"{_FORM_NAME}{len(resources.XObject)}_{number}", number + 1
    if stream.get("/Subtype") != pikepdf.Name.Form:
        stream.Subtype = pikepdf.Name.Form
    resources.XObject[name] = stream
    return name


def _media_box(box: Shown) -> pikepdf.Array:
    return pikepdf.Array([box.left, box.bottom, box.right, box.top])


def _attach(output: pikepdf.Pdf, navigation: Navigation, links: list[list[Link]]) -> None:
    for page, found in zip(output.pages, links, strict=True):
        attach_links(output, page.obj, found)
    attach_outline(output, navigation.outline())
    attach_labels(output, navigation.labels())
    if language := navigation.language():
        output.Root.Lang = pikepdf.String(language)
