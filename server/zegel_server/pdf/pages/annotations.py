"""Annotations and form fields drawn into the page as a screen shows them (ISO 32000-1, 12.5.5).

Invariants:

* What is drawn is the appearance as it is, placed by the page's content: nothing is computed from an appearance's own
  content, so it does not matter how odd that is.
* What a screen does not show - hidden, for print only, on a hidden layer, pop-ups - is not drawn.
* A password's value is never drawn.
"""

import math
import re
from collections.abc import Iterator

import pikepdf

from zegel_server.pdf.geometry import Matrix, inherited, number, parts_of
from zegel_server.pdf.limits import MAX_PAGE_TREE_DEPTH
from zegel_server.pdf.pages.content import instructions, names
from zegel_server.pdf.pages.decoding import decoded
from zegel_server.pdf.pages.optional_content import Visibility
from zegel_server.pdf.pages.page_filter import entry, shallow

_INVISIBLE, _HIDDEN, _NO_ROTATE, _NO_VIEW = 1, 1 << 1, 1 << 4, 1 << 5
_PASSWORD = 1 << 13
_FURNITURE = {pikepdf.Name.Popup}
"""What a reader shows beside the page."""
_STANDARD = {
    *(
        "/Text",
        "/Link",
        "/FreeText",
        "/Line",
        "/Square",
        "/Circle",
        "/Polygon",
        "/PolyLine",
        "/Highlight",
        "/Underline",
    ),
    *(
        "/Squiggly",
        "/StrikeOut",
        "/Stamp",
        "/Caret",
        "/Ink",
        "/Popup",
        "/FileAttachment",
        "/Sound",
        "/Movie",
        "/Widget",
    ),
    *("/Screen", "/PrinterMark", "/TrapNet", "/Watermark", "/3D", "/Redact", "/RichMedia", "/Projection"),
}
"""Kinds that the flag ``Invisible`` does not apply to."""
_SHOWS = {b"Tj", b"TJ", b"'", b'"'}
_LITERAL = re.compile(rb"\(((?:[^()\\]|\\.)*)\)|<([0-9A-Fa-f\s]*)>", re.DOTALL)
_FINE = 6
"""Decimals of a matrix: a millionth of a point on a page of any size."""


def annotations_of(page: pikepdf.Object) -> list[pikepdf.Object]:
    """The well-formed annotations of a page.

    Args:
        page: The page.
    """
    found = page.get("/Annots")
    items = parts_of(found)
    return [item for item in items if isinstance(item, pikepdf.Dictionary)]


def is_seen(item: pikepdf.Object, visibility: Visibility) -> bool:
    """Tell whether a screen shows an annotation.

    Args:
        item: The annotation.
        visibility: What layers hide.
    """
    flags = int(number(item.get("/F")) or 0)
    subtype = item.get("/Subtype")
    if flags & (_HIDDEN | _NO_VIEW) or subtype in _FURNITURE:
        return False
    if flags & _INVISIBLE and not any(subtype == name for name in _STANDARD):
        return False
    return not visibility.hidden(item.get("/OC"))


def appearances(page: pikepdf.Object, visibility: Visibility, turn: int) -> Iterator[tuple[pikepdf.Stream, Matrix]]:
    """What is drawn over a page's own content: forms, each with the matrix that positions it.

    Args:
        page: The page.
        visibility: What layers hide.
        turn: The page's rotation in degrees.
    """
    for item in annotations_of(page):
        if not is_seen(item, visibility):
            continue
        stream = appearance(item)
        if stream is None:
            continue
        matrix = _placement(item, stream, turn)
        if matrix is not None:
            yield stream, matrix


def appearance(item: pikepdf.Object) -> pikepdf.Stream | None:
    """An annotation's normal appearance in the state it is in.

    Args:
        item: The annotation.
    """
    looks = item.get("/AP")
    normal = looks.get("/N") if isinstance(looks, pikepdf.Dictionary) else None
    if isinstance(normal, pikepdf.Dictionary):
        state = item.get("/AS")
        if not isinstance(state, pikepdf.Name):
            value = inherited_field(item, "/V")
            state = value if isinstance(value, pikepdf.Name) and value in normal else pikepdf.Name.Off
        normal = normal[state] if state in normal else None  # noqa: SIM401 - get takes only names that are text
    return normal if isinstance(normal, pikepdf.Stream) else None


def inherited_field(item: pikepdf.Object, key: str) -> pikepdf.Object | None:
    """A field's attribute, its own or that of the fields it belongs to.

    Args:
        item: The field or its widget.
        key: The attribute.
    """
    node: pikepdf.Object | None = item
    for _level in range(MAX_PAGE_TREE_DEPTH):
        if not isinstance(node, pikepdf.Dictionary):
            return None
        if (found := node.get(key)) is not None:
            return found
        node = node.get("/Parent")
    return None


def is_password(item: pikepdf.Object) -> bool:
    """Tell whether an annotation is a field whose value is not to be read.

    Args:
        item: The annotation.
    """
    return (
        item.get("/Subtype") == pikepdf.Name.Widget
        and inherited_field(item, "/FT") == pikepdf.Name.Tx
        and bool(int(number(inherited_field(item, "/Ff")) or 0) & _PASSWORD)
    )


def lend_fonts(pdf: pikepdf.Pdf) -> None:
    """Give fields' appearances those fonts of their form that they name and lack, as viewers do.

    Args:
        pdf: The PDF; changed in place.
    """
    form = pdf.Root.get("/AcroForm")
    shared = form.get("/DR") if isinstance(form, pikepdf.Dictionary) else None
    fonts = shared.get("/Font") if isinstance(shared, pikepdf.Dictionary) else None
    if not isinstance(fonts, pikepdf.Dictionary):
        return
    for page in pdf.pages:
        for item in annotations_of(page.obj):
            stream = appearance(item) if item.get("/Subtype") == pikepdf.Name.Widget else None
            if stream is not None:
                _lend(stream, fonts, inherited(page.obj, "/Resources"))


def _lend(stream: pikepdf.Stream, fonts: pikepdf.Object, around: pikepdf.Object | None) -> None:
    own = stream.get("/Resources")
    own = shallow(own if isinstance(own, pikepdf.Dictionary | pikepdf.Stream) else around)
    known = shallow(own.get("/Font"))
    named = sorted(names(decoded(stream) or b""))
    lent = [name for name in named if name not in known and isinstance(entry(fonts, name), pikepdf.Dictionary)]
    for name in lent:
        known[name] = fonts[name]
    if lent:
        own.Font = known
        stream.Resources = own


def tells(stream: pikepdf.Stream) -> bool:
    """Tell whether an appearance shows more than one character over and over: a password's must not.

    Args:
        stream: The appearance.
    """
    data = decoded(stream) or b""
    characters: set[bytes] = set()
    for item in instructions(data):
        if item.operator == b"Do":
            return True
        if item.operator in _SHOWS:
            for literal, digits in _LITERAL.findall(data, item.start, item.at):
                characters.update(bytes([byte]) for byte in literal)
                characters.update(digits[start : start + 2] for start in range(0, len(digits), 2))
    return len(characters) > 1


def _placement(item: pikepdf.Object, stream: pikepdf.Stream, turn: int) -> Matrix | None:
    """The matrix that takes an appearance's box to the annotation's rectangle (12.5.5, algorithm 8.1)."""
    rectangle, box = _box(item.get("/Rect")), _box(stream.get("/BBox"))
    if rectangle is None or box is None:
        return None
    own = _matrix(stream.get("/Matrix"))
    corners = [_apply(own, x, y) for x in (box[0], box[2]) for y in (box[1], box[3])]
    left, right = min(x for x, _y in corners), max(x for x, _y in corners)
    low, high = min(y for _x, y in corners), max(y for _x, y in corners)
    # A box without an extent is not stretched, as in PDFium.
    across = (rectangle[2] - rectangle[0]) / (right - left) if right > left else 1.0
    upright = (rectangle[3] - rectangle[1]) / (high - low) if high > low else 1.0
    matrix = (across, 0.0, 0.0, upright, rectangle[0] - left * across, rectangle[1] - low * upright)
    if turn and int(number(item.get("/F")) or 0) & _NO_ROTATE:
        matrix = _upright(matrix, rectangle, turn)
    matrix = tuple(round(value, _FINE) for value in matrix)  # type: ignore[assignment]
    return matrix if all(map(math.isfinite, matrix)) else None


def _upright(matrix: Matrix, rectangle: tuple[float, float, float, float], turn: int) -> Matrix:
    """A matrix that turns against the page, about the rectangle's upper left corner."""
    x, y = rectangle[0], rectangle[3]
    cosine, sine = {90: (0.0, 1.0), 180: (-1.0, 0.0), 270: (0.0, -1.0)}[turn]
    a, b, c, d, e, f = matrix
    e, f = e - x, f - y
    return (
        a * cosine - b * sine,
        a * sine + b * cosine,
        c * cosine - d * sine,
        c * sine + d * cosine,
        e * cosine - f * sine + x,
        e * sine + f * cosine + y,
    )


def _apply(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f


def _box(value: object) -> tuple[float, float, float, float] | None:
    numbers = numbers_of(value)
    if len(numbers) != 4:  # noqa: PLR2004 - a rectangle
        return None
    x1, y1, x2, y2 = numbers
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _matrix(value: object) -> Matrix:
    numbers = numbers_of(value)
    return tuple(numbers) if len(numbers) == 6 else (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)  # type: ignore[return-value] # noqa: PLR2004


def numbers_of(value: object) -> list[float]:
    """The numbers of an array; none if it has anything else.

    Args:
        value: Any value from a PDF.
    """
    items = parts_of(value)
    found = [number(item) for item in items]
    return [item for item in found if item is not None] if None not in found else []
