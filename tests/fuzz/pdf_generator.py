"""Grows strange PDFs from a seed: files that readers open, and that few writers would make.

Content is grown by :mod:`fuzz.pdf_content`; here are the operators that nobody closes, pages and what they inherit,
annotations and form fields. How it is written down is :mod:`fuzz.pdf_writing`'s.
"""

import random
from dataclasses import dataclass, replace

from fuzz.pdf_book import SIDE, Book, Place, dictionary
from fuzz.pdf_content import pieces, word
from fuzz.pdf_writing import written
from support.pdfs import stream

OPENINGS = (
    *(
        b"q",
        b"q q q",
        b"BT",
        b"q BT",
        b"/P BMC",
        b"/P << >> BDC",
        b"BX",
        b"1 0 0 1 3000 3000 cm",
        b"0 0 1 1 re W n",
        b"1 g",
    ),
    *(
        b"7 Tr",
        b"3 Tr",
        b"q .1 0 0 .1 0 0 cm",
        b"/Nowhere gs",
        b"10 10 m 20 20 l",
        b"BT 7 Tr",
        b"0 0 m",
        b"/Pattern cs",
    ),
)
"""What a page may leave open at its end."""

CLOSINGS = (b"Q", b"Q Q Q", b"ET", b"EMC", b"EX", b"ET Q EMC", b"EMC EMC Q ET")
"""What a page may close that is not open."""

_HIDDEN = {2, 32}
"""Flags of annotations that are not shown on a screen."""

NOISE = (
    *(
        b"% a comment\n",
        b"/Nothing Do",
        b"foo",
        b"1 2 3 bar",
        b"Tj",
        b"() Tj",
        b"/A /B /C",
        b"[1 2] 0 d",
        b"999 i",
        b"1 2 cm",
    ),
    *(
        b"<< /A 1 >>",
        b"[ ] TJ",
        b"0 0 0 0 re f",
        b"/DeviceRGB CS",
        b"1 j 1 J",
        b"0 0 d0",
        b"/Nowhere sh",
        b"MP",
        b"/X MP",
    ),
    *(b"--5 w", b"1.2.3 w", b"5- w", b"+.5 w", b"2147483648 w", b"1e3 w", b"/Na#6De ri", b"null", b"true"),
)
"""What readers pass over."""


@dataclass(frozen=True, slots=True)
class Grown:
    """A grown file.

    Args:
        data: The file.
        seen: Words that its pages show.
        hidden: Words that they must not show.
        features: What strange things are in it.
    """

    data: bytes
    seen: tuple[str, ...]
    hidden: tuple[str, ...]
    features: frozenset[str]


def grow(seed: int) -> Grown:
    """Grow a file.

    Args:
        seed: What repeats it.
    """
    book = Book(random.Random(seed))  # noqa: S311 - to be repeatable
    if book.chance(0.2):
        book.typefaces = ("embedded", "Helvetica", "Times-Roman")
    book.add(b"null")  # the catalogue
    _tree, reference = book.reserve()
    shared: dict[str, dict[bytes, bytes]] = {}
    pages = [_page(book, reference, shared) for _ in range(book.choose.choice((1, 1, 1, 2, 3)))]
    inherited = b"/MediaBox [0 0 300 300] /Resources %s" % dictionary(shared)
    if book.chance(0.1, "turn inherited"):
        inherited += b" /Rotate 90"
    if book.chance(0.2, "tree of pages"):
        middle = book.add(
            b"<< /Type /Pages /Parent %s /Kids [%s] /Count %d >>" % (reference, b" ".join(pages), len(pages))
        )
        kids = middle
    else:
        kids = b" ".join(pages)
    book.objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d %s >>" % (kids, len(pages), inherited)
    book.objects[0] = _catalogue(book)
    data = written(book)
    return Grown(data, tuple(book.seen), tuple(book.hidden), frozenset(book.features))


def _catalogue(book: Book) -> bytes:
    entries = b"/Type /Catalog /Pages 2 0 R"
    if book.layers:
        on, off = (book.layers[each] for each in ("on", "off"))
        default = book.choose.choice(
            (
                b"/OFF [%s]" % off,
                b"/BaseState /OFF /ON [%s]" % on,
                b"/ON [%s] /OFF [%s] /Order [%s %s]" % (on, off, on, off),
            )
        )
        entries += b" /OCProperties << /OCGs [%s %s] /D << %s >> >>" % (on, off, default)
    if book.fields or book.chance(0.05, "form without fields"):
        needs = b"/NeedAppearances true" if book.chance(0.2, "appearances left to readers") else b""
        look = (
            b"/DA (/Helv 10 Tf 0 g) /DR << /Font << /Helv << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
        )
        entries += b" /AcroForm << /Fields [%s] %s %s >>" % (b" ".join(book.fields), look, needs)
    return b"<< %s >>" % entries


# ---------------------------------------------------------------------------------------------------------------- pages


def _page(book: Book, parent: bytes, shared: dict[str, dict[bytes, bytes]]) -> bytes:
    kind = book.choose.choice(("own", "own", "own", "reference", "inherited", "wrong", "none and unused"))
    book.features.add(f"page with {kind} resources")
    boxes, inside = _boxes(book)
    known = inside and kind in {"own", "reference", "inherited"}
    resources = shared if kind == "inherited" else {}
    place = Place(book, resources, shown=True if known else None)
    parts = _content(book, place)
    entries = b"/Type /Page /Parent %s /Contents %s" % (parent, _contents(book, parts))
    if kind == "own":
        entries += b" /Resources " + dictionary(resources)
    elif kind == "reference":
        entries += b" /Resources " + book.add(dictionary(resources))
    elif kind == "wrong":
        entries += b" /Resources " + book.choose.choice((b"[1]", b"null", b"(x)", b"<< /Font [1] /XObject 5 >>"))
    entries += boxes
    if book.chance(0.1, "page group"):
        entries += b" /Group << /S /Transparency /CS /DeviceRGB >>"
    annotations = [_annotation(book, inside=inside) for _ in range(book.choose.choice((0, 0, 0, 1, 1, 2, 4)))]
    if annotations:
        listed = b"[%s]" % b" ".join(annotations)
        entries += b" /Annots " + (book.add(listed) if book.chance(0.3) else listed)
    return book.add(b"<< %s >>" % entries)


def _content(book: Book, place: Place) -> list[bytes]:
    """The parts of a page's content, in order."""
    parts = [word(place)]
    if book.chance(0.25, "closes what is not open"):
        parts.append(book.choose.choice(CLOSINGS))
    for _ in range(book.choose.randint(1, 4)):
        parts.append(pieces(place, 2))
        if book.chance(0.3, "noise"):
            parts.append(book.choose.choice(NOISE))
            place = place.unsure()
        if book.chance(0.12, "left open in the middle"):
            parts.append(book.choose.choice(OPENINGS))
            place = place.unsure()
    if book.chance(0.3, "left open at the end"):
        parts.append(book.choose.choice(OPENINGS))
    return parts


def _contents(book: Book, parts: list[bytes]) -> bytes:
    """One stream, or an array of streams that is split between any two tokens."""
    if book.chance(0.5):
        return book.add(stream(b"\n".join(parts)))
    book.features.add("content in parts")
    pieces_of_it = list(parts)
    for _ in range(book.choose.randint(0, 3)):
        index = book.choose.randrange(len(pieces_of_it))
        # Within a string or a picture a break would be seen; between plain operators it is none.
        text = pieces_of_it[index]
        places = (
            [at for at in range(1, len(text)) if text[at : at + 1] == b" "]
            if b"ID " not in text and b"(" not in text
            else []
        )
        if places:
            at = book.choose.choice(places)
            pieces_of_it[index : index + 1] = [text[:at], text[at + 1 :]]
    references = [book.add(stream(piece)) for piece in pieces_of_it]
    if book.chance(0.1, "content with gaps"):
        references.insert(book.choose.randrange(len(references)), book.choose.choice((b"null", b"9999 0 R")))
    listed = b"[%s]" % b" ".join(references)
    return book.add(listed) if book.chance(0.3) else listed


def _boxes(book: Book) -> tuple[bytes, bool]:
    """Boxes, turn and unit of a page, and whether all of what is drawn lies within them."""
    within = (
        *(b"", b"", b"", b"/MediaBox [0 0 300 300]", b"/MediaBox [300 300 0 0]", b"/MediaBox [-50 -50 350.5 320.25]"),
        *(b"/MediaBox [0 0 300 300] /CropBox [-100 -100 900 900]", b"/CropBox [0 0 0 0]", b"/TrimBox [20 20 100 100]"),
        *(b"/MediaBox [0. -0 300.00 300]", b"/MediaBox [0 0 3000 3000]"),
    )
    beyond = (b"/CropBox [10 10 290 280]", b"/MediaBox [0 0 30 30]", b"/MediaBox [1 2 3]", b"/MediaBox [0 0 1 300]")
    inside = not book.chance(0.15, "boxes that cut")
    box = book.choose.choice(within if inside else beyond)
    if book.chance(0.01, "box beside the page"):
        box, inside = b"/MediaBox [0 0 300 300] /CropBox [400 400 500 500]", False
    turns = (b"", b"", b"", b"/Rotate 90", b"/Rotate 180", b"/Rotate 270", b"/Rotate -90", b"/Rotate 450")
    turn = book.choose.choice(turns)
    unit = b"/UserUnit %s" % book.choose.choice((b"2", b"0.5", b"10")) if book.chance(0.1, "user unit") else b""
    return b" ".join((b"", box, turn, unit)), inside


# ---------------------------------------------------------------------------------------------------------- annotations


def _annotation(book: Book, *, inside: bool) -> bytes:
    flags = book.choose.choice((0, 4, 4, 4, 4, 4, 4, 2, 32, 64))
    rectangle = [book.choose.randint(5, 200) for _ in range(2)]
    rectangle += [rectangle[0] + book.choose.randint(10, 90), rectangle[1] + book.choose.randint(10, 40)]
    if book.chance(0.1):
        rectangle = [*rectangle[2:], *rectangle[:2]]
    entries = b"/Type /Annot /F %d /Rect [%d %d %d %d]" % (flags, *rectangle)
    if book.chance(0.4):
        return _field(book, entries, hidden=flags in _HIDDEN)
    kind = book.choose.choice(
        (
            "Square",
            "Circle",
            "Line",
            "Highlight",
            "FreeText",
            "Stamp",
            "Text",
            "Link",
            "Ink",
            "Popup",
            "FileAttachment",
            "Odd",
        )
    )
    entries += b" /Subtype /%s /C [1 0 0]" % kind.encode()
    left, bottom, right, top = rectangle
    if kind == "Highlight":
        entries += b" /QuadPoints [%d %d %d %d %d %d %d %d]" % (left, top, right, top, left, bottom, right, bottom)
    if kind == "Line":
        entries += b" /L [%d %d %d %d]" % tuple(rectangle)
    if kind == "Ink":
        entries += b" /InkList [[%d %d %d %d]]" % tuple(rectangle)
    if kind == "FreeText":
        entries += b" /DA (/Helv 10 Tf 0 g) /Contents (free text)"
    if kind == "Link":
        entries += b" /A << /S /URI /URI (https://example.com/) >>"
    if kind in {"Stamp", "Odd"} or book.chance(0.6):
        entries += b" /AP << /N %s >>" % _appearance(
            book, shown=None if kind in {"Popup", "Odd", "Link"} else flags not in {2, 32}
        )
        book.features.add("annotation with appearance")
    else:
        book.features.add("annotation without appearance")
    return book.add(b"<< %s >>" % entries)


def _is_shown(kind: str, flags: int, *, inside: bool) -> bool | None:
    if flags in _HIDDEN:
        return False
    return None if kind in {"Popup", "Odd", "Link"} or not inside else True


def _appearance(book: Book, *, shown: bool | None, matrix: bool = True) -> bytes:
    place = Place(book, {}, depth=2, shown=shown)
    content = word(place) + b"\n" + pieces(replace(place, shown=None), 1)
    if book.chance(0.1, "appearance left open"):
        content += b"\n" + book.choose.choice(OPENINGS)
    turn = b"/Matrix [0 1 -1 0 0 0]" if matrix and book.chance(0.15, "appearance turned") else b""
    entries = b"/Type /XObject /Subtype /Form /BBox [0 0 %d %d] %s /Resources " % (SIDE, SIDE, turn)
    return book.add(stream(content, entries + dictionary(place.resources)))


def _field(book: Book, entries: bytes, *, hidden: bool) -> bytes:
    kind = book.choose.choice(("text", "text", "check", "choice", "password"))
    name = b"/T (%s)" % book.name()
    with_look = book.chance(0.7)
    value = book.word()
    if kind == "check":
        yes = _appearance(book, shown=None, matrix=False)
        no = _appearance(book, shown=None, matrix=False)
        on = book.chance(0.5)
        entries += b" /FT /Btn /V /%s /AS /%s /AP << /N << /Yes %s /Off %s >> >>" % (
            *((b"Yes" if on else b"Off"),) * 2,
            yes,
            no,
        )
    else:
        flags = {"password": 1 << 13, "choice": 1 << 17}.get(kind, 0)
        entries += b" /FT /%s /Ff %d /V (%s)" % (b"Ch" if kind == "choice" else b"Tx", flags, value.encode())
        if kind == "choice":
            entries += b" /Opt [(%s) (other)]" % value.encode()
        if kind == "password" or hidden:
            book.hidden.append(value)
        if with_look and kind != "password":
            entries += b" /AP << /N %s >>" % _appearance(book, shown=None, matrix=False)
    book.features.add(f"field {kind}")
    reference = book.add(b"<< %s /Subtype /Widget %s /DA (/Helv 10 Tf 0 g) >>" % (entries, name))
    if book.chance(0.9):
        book.fields.append(reference)
    return reference
