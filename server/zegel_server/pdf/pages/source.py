"""Opening an untrusted PDF, and checking that what is to be signed is on its pages.

Invariants:

* An accepted file has been repaired by qpdf, can be read without a password, and none of its streams expands beyond the
  limits.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Self

import pikepdf

from zegel_server.pdf.geometry import inherited, number, parts_of, shown, word
from zegel_server.pdf.limits import (
    MAX_CONTENT_BYTES,
    MAX_FILTERS,
    MAX_OBJECTS,
    MAX_PAGES,
    MAX_PDF_BYTES,
    MAX_STREAM_BYTES,
)
from zegel_server.pdf.model import PageFacts, PdfFacts
from zegel_server.pdf.pages.annotations import annotations_of
from zegel_server.pdf.pages.content import name_of
from zegel_server.pdf.pages.decoding import decoded
from zegel_server.pdf.pages.expansion import check_expansion
from zegel_server.pdf.pages.navigation import pairs
from zegel_server.pdf.pages.optional_content import Visibility
from zegel_server.pdf.pages.page_filter import shallow
from zegel_server.pdf.pages.signatures import signatures_of
from zegel_server.pdf.refusal import Refusal, RefusedError

_HEADER_WITHIN = 1024
"""Readers look for ``%PDF-`` in the first 1,024 bytes (ISO 32000-1, Annex H, note 13)."""

_SIZE = re.compile(rb"/Size\s+(\d{1,9})\b")
_OBJECT = re.compile(rb"obj")
_NUMBERED = re.compile(rb"(?<!\d)(\d{1,9})\s+\d{1,5}\s+\Z")
_LONGEST_NUMBER = 24
"""Bytes that a number and a generation take before ``obj``."""
_CATALOGUE = re.compile(rb"(?<!\d)(\d{1,7})\s+(\d{1,5})\s+obj\s*<<[^>]{0,2000}?/Type\s*/Catalog\b")
_NUMBER_BYTES = 3
"""How many bytes of a file qpdf expects for each object number: it ignores objects whose numbers it finds too high,
while readers accept them."""
_MAX_NUMBER = 2_500_000
"""The highest number for which a file is padded: a seventh of a gigabyte of qpdf's index; ISO 32000-1 allows 8,388,607,
and real files of 2,000 pages stay below 200,000."""
_ENCRYPT = re.compile(rb"/Encrypt(?![A-Za-z])")

_QPDF_ERRORS = (pikepdf.PdfError, RuntimeError)
"""What qpdf raises for a damaged file; the second if it cannot handle the page tree."""

_NO_RESOURCES, _RENAMED = "Resources is missing or invalid", b"/Resourcez"
_DAMAGE = "Attempting to reconstruct"
"""What qpdf says if a file's index is not where it should be, for example since the file was cut off."""
_DRAWN = re.compile(rb"/([^\x00\s()<>\[\]{}/%]+)\s+Do\b")
_XFA_PARTS = re.compile(rb"<(?:\w+:)?(?:field|draw|subform|exclGroup|template)\b")


@dataclass(frozen=True, slots=True)
class Source:
    """An opened upload; closed at the end of a ``with``.

    Args:
        pdf: The file as opened by qpdf.
        data: The file to be read, without what needlessly hinders readers.
        warnings: What qpdf found wrong with it.
    """

    pdf: pikepdf.Pdf
    data: bytes
    warnings: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.pdf.close()


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


def open_source(data: bytes) -> Source:
    """Open an untrusted PDF.

    A file that is encrypted with the empty password is opened: every reader does so without asking, so it protects
    nothing. So is one of which only the attachments are encrypted. One that asks for a password is refused, since its
    signers could not read what they sign.

    Args:
        data: The file.

    Raises:
        RefusedError: It is not a PDF, or is damaged, encrypted or too large.
    """
    if not data:
        raise RefusedError(Refusal.EMPTY)
    if len(data) > MAX_PDF_BYTES:
        raise RefusedError(Refusal.TOO_LARGE)
    source = _settled(_opened(_readable(data)))
    pdf = source.pdf
    if len(pdf.objects) > MAX_OBJECTS:
        raise RefusedError(Refusal.TOO_MANY_OBJECTS)
    try:
        count = len(pdf.pages)
    except _QPDF_ERRORS:
        raise RefusedError(Refusal.DAMAGED) from None
    if count == 0:
        raise RefusedError(Refusal.NO_PAGES)
    if count > MAX_PAGES:
        raise RefusedError(Refusal.TOO_MANY_PAGES)
    check_expansion(pdf)
    return source


def _settled(source: Source) -> Source:
    """An upload whose pages have the resources that readers find, even if qpdf dropped them because they are a stream.

    It does so while it opens a file; so the file is opened with that key renamed.
    """
    if not any(_NO_RESOURCES in warning for warning in source.warnings) or b"/Resources" not in source.data:
        return source
    try:
        pdf = pikepdf.open(BytesIO(source.data.replace(b"/Resources", _RENAMED)), suppress_warnings=True)
        pages = [page.obj for page in pdf.pages]
    except _QPDF_ERRORS:
        return source
    renamed = _RENAMED.decode()
    for page in pages:
        # What qpdf put there for want of the key; what lies in an object stream kept its name, and is the page's own.
        if "/Resources" in page and (renamed in page or not len(page["/Resources"])):
            del page["/Resources"]
    for item in pdf.objects:
        if isinstance(item, pikepdf.Dictionary | pikepdf.Stream) and renamed in item:
            item["/Resources"] = shallow(item[renamed])
            del item[renamed]
    return Source(pdf, source.data, source.warnings)


def _opened(data: bytes) -> Source:
    try:
        return _source(data)
    except pikepdf.PasswordError:
        # If only attachments are encrypted, everything else is read as it is.
        return _tried(_ENCRYPT.sub(b"/EncrypZ", data), Refusal.ENCRYPTED, _encrypts_files_only)
    except _QPDF_ERRORS:
        if b"%PDF-" not in data[:_HEADER_WITHIN]:
            raise RefusedError(Refusal.NOT_A_PDF) from None
    for mended in _mended(data):
        with suppress(RefusedError):
            return _tried(mended, Refusal.DAMAGED, lambda pdf: len(pdf.pages) > 0)
    raise RefusedError(Refusal.DAMAGED)


def _source(data: bytes) -> Source:
    pdf = pikepdf.open(BytesIO(data), suppress_warnings=True)
    return Source(pdf, data, tuple(map(str, pdf.get_warnings())))


def _readable(data: bytes) -> bytes:
    """A file padded at its end if qpdf would otherwise silently ignore objects that readers show."""
    if b"%%EOF" not in data[-_HEADER_WITHIN:]:
        data += b"\n%%EOF\n"  # qpdf ignores an object at the very end
    short = 0 if len(data) > _NUMBER_BYTES * _MAX_NUMBER else _NUMBER_BYTES * (_highest_number(data) + 2) - len(data)
    if short > 0:
        start = data[data.rfind(b"startxref") :] if b"startxref" in data else b""
        data += b"\n" * short + start
    return data


def _highest_number(data: bytes) -> int:
    """The highest number that an object has or may have, as far as it can be determined and readers would accept it."""
    found = [int(match[1]) for match in _SIZE.finditer(data)]
    for match in _OBJECT.finditer(data):
        before = _NUMBERED.search(data, max(match.start() - _LONGEST_NUMBER, 0), match.start())
        if before is not None:
            found.append(int(before[1]))
    return max((number for number in found if number <= _MAX_NUMBER), default=0)


def _mended(data: bytes) -> Iterator[bytes]:
    """Variants of a file that stops qpdf but not readers, each with less information than the one before."""
    # Without an index, qpdf searches for objects, as readers do that distrust the index.
    data = data.replace(b"startxref", b"startxxxx")
    yield data
    # An encryption entry that is not a dictionary encrypts nothing.
    yield _ENCRYPT.sub(b"/EncrypZ", data)
    if catalogues := _CATALOGUE.findall(data):
        yield data + b"\ntrailer\n<< /Root %s %s R >>\n" % catalogues[-1]


def _tried(data: bytes, otherwise: Refusal, fits: Callable[[pikepdf.Pdf], bool]) -> Source:
    try:
        source = _source(data)
        if fits(source.pdf):
            return source
    except _QPDF_ERRORS:
        pass
    raise RefusedError(otherwise)


def _encrypts_files_only(pdf: pikepdf.Pdf) -> bool:
    """Whether an encryption, which was hidden from qpdf, applies only to attached files."""
    told = pdf.trailer.get("/EncrypZ")
    if not isinstance(told, pikepdf.Dictionary) or told.get("/V") not in {4, 5}:
        return False
    return all(told.get(key, pikepdf.Name.Identity) == pikepdf.Name.Identity for key in ("/StmF", "/StrF"))


def facts(pdf: pikepdf.Pdf, data: bytes = b"") -> PdfFacts:
    """The facts about a PDF before it is cleaned.

    Args:
        pdf: The PDF.
        data: The file that it was opened from, for its signatures.

    Raises:
        RefusedError: A page has no size that can be shown.
    """
    root = pdf.Root
    names, form, outline = root.get("/Names"), root.get("/AcroForm"), root.get("/Outlines")
    fields = form.get("/Fields") if isinstance(form, pikepdf.Dictionary) else None
    marks = root.get("/MarkInfo")
    tagged = _has(root, "/StructTreeRoot") or (isinstance(marks, pikepdf.Dictionary) and _is_true(marks, "/Marked"))
    scripts = _has(root, "/OpenAction") or _has(names, "/JavaScript")
    files: set[object] = set()
    for item in pdf.objects:
        if isinstance(item, pikepdf.Dictionary):
            scripts = scripts or "/AA" in item or _acts(item) or _acts(item.get("/A"))
            if isinstance(item.get("/EF"), pikepdf.Dictionary):
                files.add(item.objgen)
            elif isinstance(file := item.get("/FS"), pikepdf.Dictionary) and "/EF" in file:
                files.add(file.objgen if file.is_indirect else item.objgen)
    listed = names.get("/EmbeddedFiles") if isinstance(names, pikepdf.Dictionary) else None
    return PdfFacts(
        pages=tuple(PageFacts(box.width, box.height) for box in map(shown, pdf.pages)),
        pdf_version=pdf.pdf_version,
        was_encrypted=pdf.is_encrypted or "/EncrypZ" in pdf.trailer,
        has_form=(isinstance(fields, pikepdf.Array) and len(fields) > 0) or _has(form, "/XFA"),
        has_scripts=scripts,
        has_hidden_content=Visibility(pdf).hides,
        attachment_count=max(len(files), sum(1 for _pair in pairs(listed, "/Names"))),
        signatures=signatures_of(pdf, data),
        is_tagged=tagged,
        has_outline=_has(outline, "/First"),
        has_page_labels=isinstance(root.get("/PageLabels"), pikepdf.Dictionary),
    )


def _acts(action: object) -> bool:
    """Whether an action runs a script or a program."""
    if not isinstance(action, pikepdf.Dictionary):
        return False
    return word(action.get("/S")) in {"/JavaScript", "/Launch"}


def demand_pages(source: Source) -> None:
    """Check that what is to be signed is on a PDF's pages.

    Args:
        source: The upload.

    Raises:
        RefusedError: ``PORTFOLIO``, ``DYNAMIC_FORM`` or ``TRUNCATED``: it is elsewhere, or lost.
    """
    pdf = source.pdf
    if isinstance(pdf.Root.get("/Collection"), pikepdf.Dictionary):
        raise RefusedError(Refusal.PORTFOLIO)
    form = pdf.Root.get("/AcroForm")
    forms = form.get("/XFA") if isinstance(form, pikepdf.Dictionary) else None
    if _is_true(pdf.Root, "/NeedsRendering") or (forms is not None and _is_elsewhere(pdf, forms)):
        raise RefusedError(Refusal.DYNAMIC_FORM)
    if any(_DAMAGE in warning for warning in source.warnings) and _lacks_content(pdf, source.data):
        raise RefusedError(Refusal.TRUNCATED)


def _is_elsewhere(pdf: pikepdf.Pdf, forms: pikepdf.Object) -> bool:
    """Whether an XFA form has fields, and the pages have none."""
    for page in pdf.pages:
        if any(item.get("/Subtype") == pikepdf.Name.Widget for item in annotations_of(page.obj)):
            return False
    parts = forms.as_list() if isinstance(forms, pikepdf.Array) else [forms]
    told = [decoded(part) or b"" for part in parts if isinstance(part, pikepdf.Stream)]
    return any(_XFA_PARTS.search(part) for part in told)


def _lacks_content(pdf: pikepdf.Pdf, data: bytes) -> bool:
    """Whether a page of a damaged file has lost its content, or something that its content draws."""
    told = number(pdf.Root.Pages.get("/Count"))
    if told is not None and told > len(pdf.pages):
        return True
    for page in pdf.pages:
        contents = page.obj.get("/Contents")
        streams = [part for part in (contents, *parts_of(contents)) if isinstance(part, pikepdf.Stream)]
        if not streams:
            if _had_contents(page.obj, data):
                return True
            continue
        resources = inherited(page.obj, "/Resources")
        objects = resources.get("/XObject") if isinstance(resources, pikepdf.Dictionary) else None
        known = objects.keys() if isinstance(objects, pikepdf.Dictionary) else set()
        content = b"\n".join(decoded(stream) or b"" for stream in streams)
        lost = {name for name in _DRAWN.findall(content) if name_of(name) not in known}
        if any(re.search(rb"/%s\s+\d+\s+\d+\s+R\b" % re.escape(name), data) for name in lost):
            return True
    return False


def _had_contents(page: pikepdf.Object, data: bytes) -> bool:
    """Whether a page refers to content, or may refer to some."""
    spelled = re.search(rb"(?<!\d)%d\s+%d\s+obj\b(.*?)endobj" % page.objgen, data, re.DOTALL)
    return spelled is None or b"/Contents" in spelled[1]


def _is_true(holder: pikepdf.Object, key: str) -> bool:
    value: object = holder.get(key)
    return value is True


def _has(holder: pikepdf.Object | None, key: str) -> bool:
    return isinstance(holder, pikepdf.Dictionary) and key in holder
