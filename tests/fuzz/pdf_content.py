"""Grows what a page draws: words and marks, and around them whatever content streams can hold, in order or not.

A book notes which words a reader of the page must find and which it must not. A word is noted only where that follows
from the rules; what stands behind an operator that readers take differently is drawn and not noted.
"""

from collections.abc import Callable
from dataclasses import replace

from fuzz.pdf_book import LETTERS, SIDE, Book, Place, dictionary, font
from support.pdfs import stream

DEPTH = 6
"""Levels of forms, patterns and glyphs within one another."""


def _number(book: Book, low: float = 0, high: float = SIDE) -> bytes:
    return b"%.3g" % book.choose.uniform(low, high)


def _numbers(book: Book, count: int, low: float = 0, high: float = SIDE) -> bytes:
    return b" ".join(_number(book, low, high) for _ in range(count))


def word(place: Place) -> bytes:
    """A word of its own, in black."""
    book = place.book
    text = book.word()
    reference, embedded = font(book)
    name = place.put("Font", reference)
    code = bytes(LETTERS.index(letter) for letter in text) if embedded else text.encode()
    x, y = book.choose.randint(5, SIDE - 90), book.choose.randint(10, SIDE - 20)
    size = book.choose.choice((6, 8, 10, 12, 18))
    if place.shown is not None:
        (book.seen if place.shown else book.hidden).append(text)
    show = book.choose.choice((b"<%s> Tj", b"[<%s>] TJ", b"<%s> '", b'0 0 <%s> "')) % code.hex().encode()
    return b"q 0 g 0 Tr 0 Tc 0 Tw 100 Tz 0 Ts 1 TL BT /%s %d Tf 1 0 0 1 %d %d Tm %s ET Q" % (name, size, x, y, show)


def mark(place: Place) -> bytes:
    """A coloured rectangle."""
    return b"q %s rg %s re f Q" % (_numbers(place.book, 3, 0, 1), _rectangle(place.book))


def _rectangle(book: Book) -> bytes:
    return b"%s %s" % (_numbers(book, 2), _numbers(book, 2, 5, 60))


def path(place: Place) -> bytes:
    """Lines and curves, painted or clipped to."""
    book = place.book
    parts = [b"%s m" % _numbers(book, 2)]
    for _ in range(book.choose.randint(1, 5)):
        kind, count = book.choose.choice(((b"l", 2), (b"c", 6), (b"v", 4), (b"y", 4)))
        parts.append(b"%s %s" % (_numbers(book, count), kind))
    parts.append(book.choose.choice((b"S", b"s", b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*", b"h S", b"n")))
    return b"q %s w %s RG %s rg %s Q" % (
        _number(book, 0, 8),
        _numbers(book, 3, 0, 1),
        _numbers(book, 3, 0, 1),
        b" ".join(parts),
    )


def clipped(place: Place) -> bytes:
    """Content within a clip; whether it lies inside is not known."""
    rule = place.book.choose.choice((b"W", b"W*"))
    return b"q %s re %s n %s Q" % (_rectangle(place.book), rule, pieces(place.unsure(), 2))


def moved(place: Place) -> bytes:
    """Content under another matrix."""
    turn = place.book.choose.choice(
        (b"1 0 0 1 20 20", b"0 1 -1 0 280 0", b".5 0 0 .5 50 50", b"1 .2 -.2 1 0 0", b"-1 0 0 1 300 0")
    )
    return b"q %s cm %s Q" % (turn, pieces(place.unsure(), 2))


def inline_image(place: Place) -> bytes:
    """A picture within the content."""
    book = place.book
    size = book.choose.randint(1, 6)
    data = bytes(book.choose.randrange(32, 127) for _ in range(size * size * 3)).replace(b"E", b"e")
    return b"q 40 0 0 40 %s cm BI /W %d /H %d /CS /RGB /BPC 8 ID %s EI Q" % (_numbers(book, 2), size, size, data)


def image(place: Place) -> bytes:
    """A picture, a stencil, or one with a mask."""
    book = place.book
    data = book.choose.randbytes(48)
    extra = b""
    if book.chance(0.3, "image with soft mask"):
        mask = stream(
            book.choose.randbytes(16),
            b"/Type /XObject /Subtype /Image /Width 4 /Height 4 /ColorSpace /DeviceGray /BitsPerComponent 8",
        )
        extra = b"/SMask %s" % book.add(mask)
    entries = b"/Type /XObject /Subtype /Image /Width 4 /Height 4 "
    if book.chance(0.2, "stencil"):
        reference = book.add(stream(data[:4], entries + b"/ImageMask true /BitsPerComponent 1"))
    else:
        reference = book.add(stream(data, entries + b"/ColorSpace /DeviceRGB /BitsPerComponent 8 " + extra))
    return b"q 0 0 1 rg 40 0 0 40 %s cm /%s Do Q" % (_numbers(book, 2), place.put("XObject", reference))


def form(place: Place) -> bytes:
    """A form, whose resources are its own, its surroundings', or not what they should be."""
    book = place.book
    kind = book.choose.choice(("own", "own", "own", "reference", "none", "empty", "wrong", "stream"))
    book.features.add(f"form with {kind} resources")
    known = kind in {"own", "reference"}
    inner = place.inside() if kind != "none" else replace(place, depth=place.depth + 1)
    content = pieces(inner if known else inner.unsure(), 3)
    resources = {
        "own": b"/Resources " + dictionary(inner.resources),
        "reference": b"/Resources " + (book.add(dictionary(inner.resources)) if kind == "reference" else b"null"),
        "none": b"",
        "empty": b"/Resources << >>",
        "wrong": b"/Resources [1 2]",
        "stream": b"/Resources "
        + (book.add(stream(b"x", dictionary(inner.resources)[2:-2])) if kind == "stream" else b"null"),
    }[kind]
    entries = b"/Type /XObject /Subtype /Form /BBox [0 0 300 300] " + resources
    if book.chance(0.2, "transparency group"):
        entries += b" /Group << /S /Transparency /I %s /K %s >>" % tuple(
            book.choose.choice((b"true", b"false")) for _ in range(2)
        )
    if book.chance(0.1):
        entries += b" /Matrix [1 0 0 1 0 0]"
    return b"q /%s Do Q" % place.put("XObject", book.add(stream(content, entries)))


def layered_form(place: Place) -> bytes:
    """A form or picture that belongs to a layer as a whole."""
    group, shown = layer(place)
    inner = replace(place.inside(), shown=shown)
    content = pieces(inner, 2)
    entries = b"/Type /XObject /Subtype /Form /BBox [0 0 300 300] /OC %s /Resources %s" % (
        group,
        dictionary(inner.resources),
    )
    return b"q /%s Do Q" % place.put("XObject", place.book.add(stream(content, entries)))


def layered(place: Place) -> bytes:
    """Content in a layer."""
    group, shown = layer(place)
    name = place.put("Properties", group)
    return b"/OC /%s BDC %s EMC" % (name, pieces(replace(place, shown=shown), 2))


def layer(place: Place) -> tuple[bytes, bool | None]:
    """A layer or a membership, and whether what is in it is seen."""
    book = place.book
    kind = book.choose.choice(("on", "off", "off", "not", "all", "any", "off in on"))
    book.features.add(f"layer {kind}")
    for each in ("on", "off"):
        if each not in book.layers:
            book.layers[each] = book.add(b"<< /Type /OCG /Name (%s) >>" % each.encode())
    on, off = book.layers["on"], book.layers["off"]
    if kind in {"on", "off"}:
        reference, state = book.layers[kind], kind == "on"
    elif kind == "not":
        # Readers that know no expressions go by the groups; so they agree.
        reference, state = book.add(b"<< /Type /OCMD /OCGs [%s] /P /AllOff /VE [/Not %s] >>" % (on, on)), False
    elif kind == "all":
        reference, state = book.add(b"<< /Type /OCMD /OCGs [%s %s] /P /AllOn >>" % (on, off)), False
    elif kind == "any":
        reference, state = book.add(b"<< /Type /OCMD /OCGs [%s %s] /P /AnyOn >>" % (on, off)), True
    else:
        reference, state = book.add(b"<< /Type /OCMD /OCGs %s /P /AnyOn >>" % off), False
    if not state:
        return reference, False if place.shown is not None else None
    return reference, place.shown


def tiled(place: Place) -> bytes:
    """An area filled with a pattern of content."""
    book = place.book
    inner = place.inside().unsure()
    content = pieces(inner, 2)
    entries = b"/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 300 300] "
    entries += b"/XStep 100 /YStep 100 /Resources "
    name = place.put("Pattern", book.add(stream(content, entries + dictionary(inner.resources))))
    return b"q /Pattern cs /%s scn %s re f Q" % (name, _rectangle(book))


def shaded(place: Place) -> bytes:
    """A gradient."""
    book = place.book
    name = place.put(
        "Shading",
        b"<< /ShadingType 2 /ColorSpace /DeviceRGB /Coords [0 0 300 300] /Extend [true true] /Function "
        b"<< /FunctionType 2 /N 1 /Domain [0 1] /C0 [%s] /C1 [%s] >> >>"
        % (_numbers(book, 3, 0, 1), _numbers(book, 3, 0, 1)),
    )
    return b"q %s re W n /%s sh Q" % (_rectangle(book), name)


def glyphs(place: Place) -> bytes:
    """Text in a Type 3 font, whose glyphs are content."""
    book = place.book
    inner = place.inside().unsure()
    first, second = (pieces(inner, 1) for _ in range(2))
    procedures = [
        book.add(stream(b"%s %s" % (head, body)))
        for head, body in ((b"300 0 d0", first), (b"300 0 0 0 300 300 d1", second))
    ]
    own = book.choose.choice((True, True, False))
    book.features.add("glyphs with own resources" if own else "glyphs with the page's resources")
    resources = b"/Resources " + dictionary(inner.resources) if own else b""
    if not own:
        for category, items in inner.resources.items():
            place.resources.setdefault(category, {}).update(items)
    name = place.put(
        "Font",
        book.add(
            b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 300 300] /FontMatrix [.003 0 0 .003 0 0] /FirstChar 65 "
            b"/LastChar 66 /Widths [300 300] /Encoding << /Differences [65 /S /b] >> /CharProcs << /S %s /b %s >> %s >>"
            % (*procedures, resources)
        ),
    )
    return b"q BT /%s %d Tf %s Td (AB) Tj ET Q" % (name, book.choose.choice((20, 60, 120)), _numbers(book, 2, 0, 150))


def state(place: Place) -> bytes:
    """Content under a graphics state: see-through, blended, masked."""
    book = place.book
    kind = book.choose.choice(
        ("/ca .5 /CA .5", "/BM /Multiply", "/BM /Screen", "/BM [/Foo /Darken]", "mask", "/SMask /None")
    )
    if kind == "mask":
        inner = place.inside().unsure()
        content = pieces(inner, 2)
        entries = b"/Type /XObject /Subtype /Form /BBox [0 0 300 300] "
        entries += b"/Group << /S /Transparency /CS /DeviceGray >> /Resources "
        shape = book.add(stream(content, entries + dictionary(inner.resources)))
        value = b"/SMask << /S /%s /G %s >>" % (book.choose.choice((b"Alpha", b"Luminosity")), shape)
        book.features.add("soft mask")
    else:
        value = kind.encode()
    return b"q /%s gs %s Q" % (place.put("ExtGState", b"<< /Type /ExtGState %s >>" % value), pieces(place.unsure(), 2))


def tagged(place: Place) -> bytes:
    """Marked content that is no layer."""
    opening = place.book.choose.choice(
        (b"/P BMC", b"/Span << /ActualText (x) >> BDC", b"/Artifact BMC", b"/P << /MCID 0 >> BDC")
    )
    return b"%s %s EMC" % (opening, pieces(place, 2))


PIECES: tuple[tuple[Callable[[Place], bytes], int], ...] = (
    (word, 8),
    (mark, 3),
    (path, 3),
    (clipped, 2),
    (moved, 2),
    (inline_image, 1),
    (image, 2),
    (form, 4),
    (layered_form, 2),
    (layered, 3),
    (tiled, 1),
    (shaded, 1),
    (glyphs, 2),
    (state, 2),
    (tagged, 2),
)
FLAT = {word, mark, path, inline_image, image, shaded}
"""What holds no content of its own."""


def pieces(place: Place, most: int) -> bytes:
    """Some pieces of content.

    Args:
        place: Where.
        most: At most so many.
    """
    allowed = [each for each in PIECES if place.depth < DEPTH or each[0] in FLAT]
    makers, weights = zip(*allowed, strict=True)
    chosen = place.book.choose.choices(makers, weights, k=place.book.choose.randint(1, most))
    nested = replace(place, depth=place.depth + 1)
    return b"\n".join(maker(place if maker in FLAT else nested) for maker in chosen)
