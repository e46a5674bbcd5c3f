"""Appearances for annotations and form fields that leave them to the reader (ISO 32000-1, 12.5.5 and 12.7.3.3).

A reader draws these itself, each a little differently; what the signers saw must be in the sealed pages too. Given are
the shapes that the standard describes; notes and pop-ups are a reader's furniture and are left out.

Invariants:

* An annotation keeps its appearance, except for fields of a form that leaves their appearance to the reader, and for a
  password that could be read.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import pikepdf
from reportlab.pdfgen.canvas import Canvas

from zegel_server.pdf.completion.stamping import LEADING, fit_paragraph
from zegel_server.pdf.fonts.typesetting import PLAIN_FONT, draw_text, text_width, wrap_text
from zegel_server.pdf.geometry import number, word
from zegel_server.pdf.limits import MAX_PAGE_SIDE, MAX_STAMP_TEXT
from zegel_server.pdf.pages.annotations import annotations_of, appearance, inherited_field, is_password, tells

_HIDDEN = 0b11
"""Flags ``Invisible`` and ``Hidden``."""
_MULTILINE = 1 << 12
_PASSWORD = 1 << 13
_COMB = 1 << 24
_MASK = "*"
"""What each character of a password is shown as."""
_FIELD_SIZE = 12.0
_SQUIGGLE = 2.0
_ARROW = 6.0
"""Length of an arrow's head, in widths of its line."""
_DA_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s+Tf")
_DA_COLOUR = re.compile(r"((?:[\d.]+\s+){1,4})(g|rg|k)\b")

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Look:
    """An annotation and its place; taking ``left`` and ``bottom`` off makes the page's points the drawing's."""

    item: pikepdf.Object
    left: float
    bottom: float
    width: float
    height: float

    def numbers(self, key: str) -> list[float]:
        return _numbers(self.item.get(key))

    def points(self, key: str) -> list[tuple[float, float]]:
        return self.moved(self.numbers(key))

    def moved(self, flat: list[float]) -> list[tuple[float, float]]:
        return [(x - self.left, y - self.bottom) for x, y in zip(flat[::2], flat[1::2], strict=False)]

    @property
    def line_width(self) -> float:
        style = self.item.get("/BS")
        if isinstance(style, pikepdf.Dictionary) and (width := number(style.get("/W"))) is not None:
            return width
        border = self.numbers("/Border")
        return border[2] if len(border) > 2 else 1.0  # noqa: PLR2004 - its third number is the width


def complete_appearances(pdf: pikepdf.Pdf) -> bool:
    """Give each annotation an appearance that leaves it to the reader, and put the corners of its rectangle in order.

    Args:
        pdf: The PDF; changed in place.

    Returns:
        Whether any was given one.
    """
    drawn = False
    form = pdf.Root.get("/AcroForm")
    redo = isinstance(form, pikepdf.Dictionary) and bool(form.get("/NeedAppearances", False))
    for page in pdf.pages:
        for item in annotations_of(page.obj):
            look = _look(item)
            if look is None:
                continue
            item.Rect = pikepdf.Array([look.left, look.bottom, look.left + look.width, look.bottom + look.height])
            draw = _DRAW.get(word(item.get("/Subtype")))
            if draw is not None and not int(number(item.get("/F")) or 0) & _HIDDEN and _is_left_open(item, redo=redo):
                drawn = _draw(pdf, look, draw) or drawn
    return drawn


def _is_left_open(item: pikepdf.Object, *, redo: bool) -> bool:
    """Whether a reader draws an annotation itself, since it has no appearance or one that must not be shown."""
    if item.get("/Subtype") != pikepdf.Name.Widget:
        return not _has_appearance(item)
    if is_password(item):
        stream = appearance(item)
        return redo or stream is None or tells(stream)
    if inherited_field(item, "/FT") not in {pikepdf.Name.Tx, pikepdf.Name.Ch}:
        return not _has_appearance(item)
    return redo or not _has_appearance(item)


def _look(item: pikepdf.Object) -> _Look | None:
    if not isinstance(item, pikepdf.Dictionary):
        return None
    rectangle = _numbers(item.get("/Rect"))
    if word(item.get("/Subtype")) in _DRAW and not _has_appearance(item):
        # Some writers give a rectangle that does not hold the points; readers go by the points.
        rectangle = _around_points(item) or rectangle
    if len(rectangle) != 4 or max(map(abs, rectangle)) > MAX_PAGE_SIDE:  # noqa: PLR2004 - a rectangle
        return None
    x1, y1, x2, y2 = rectangle
    return _Look(item, min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1))


def _around_points(item: pikepdf.Object) -> list[float]:
    flat = [value for stroke in _strokes(item) for value in stroke] + _numbers(item.get("/QuadPoints"))
    across, upright = flat[0::2], flat[1::2]
    if not upright:
        return []
    space = (_ARROW + 1) * _Look(item, 0, 0, 0, 0).line_width + 1
    return [min(across) - space, min(upright) - space, max(across) + space, max(upright) + space]


def _strokes(item: pikepdf.Object) -> list[list[float]]:
    """The lines of a line, polygon or ink annotation, each as its numbers."""
    ink = item.get("/InkList")
    strokes = [_numbers(part) for part in ink.as_list()] if isinstance(ink, pikepdf.Array) else []
    strokes += [_numbers(item.get("/L")), _numbers(item.get("/Vertices"))]
    return [stroke[: len(stroke) // 2 * 2] for stroke in strokes if len(stroke) > 1]


def _has_appearance(item: pikepdf.Object) -> bool:
    appearance = item.get("/AP")
    return isinstance(appearance, pikepdf.Dictionary) and isinstance(
        appearance.get("/N"), pikepdf.Stream | pikepdf.Dictionary
    )


def _draw(pdf: pikepdf.Pdf, look: _Look, draw: Callable[[Canvas, _Look], bool]) -> bool:
    if not (look.width > 0 and look.height > 0):
        return False
    drawn = BytesIO()
    canvas = Canvas(drawn, (look.width, look.height), invariant=1, pageCompression=1, initialFontName=PLAIN_FONT)
    opacity = number(look.item.get("/CA"))
    if opacity is not None and 0 <= opacity < 1:
        canvas.setFillAlpha(opacity)
        canvas.setStrokeAlpha(opacity)
    if not draw(canvas, look):
        return False
    canvas.showPage()
    canvas.save()
    with pikepdf.open(drawn) as ours:
        shape = pdf.copy_foreign(ours.pages[0].as_form_xobject())
    if "/Group" in shape:
        del shape.Group  # drawn onto the page, not beside it, so that a highlight leaves the text readable
    look.item.AP = pikepdf.Dictionary(N=pdf.make_indirect(shape))
    return True


def _colour(values: list[float]) -> Colour | None:
    clipped = [min(max(value, 0.0), 1.0) for value in values]
    if len(clipped) == 1:
        return (clipped[0],) * 3
    if len(clipped) == 3:  # noqa: PLR2004 - red, green, blue
        return (clipped[0], clipped[1], clipped[2])
    if len(clipped) == 4:  # noqa: PLR2004 - cyan, magenta, yellow, black
        cyan, magenta, yellow, black = clipped
        return ((1 - cyan) * (1 - black), (1 - magenta) * (1 - black), (1 - yellow) * (1 - black))
    return None


def _pens(canvas: Canvas, look: _Look) -> tuple[bool, bool]:
    """Set colours and line; whether to stroke, and whether to fill."""
    stroke, fill = _colour(look.numbers("/C")), _colour(look.numbers("/IC"))
    canvas.setLineWidth(look.line_width)
    if stroke is not None:
        canvas.setStrokeColorRGB(*stroke)
    if fill is not None:
        canvas.setFillColorRGB(*fill)
    style = look.item.get("/BS")
    if isinstance(style, pikepdf.Dictionary) and style.get("/S") == pikepdf.Name.D:
        dashes = [part for part in _numbers(style.get("/D")) if part > 0] or [3.0]
        canvas.setDash(dashes)
    return stroke is not None and look.line_width > 0, fill is not None


def _box(canvas: Canvas, look: _Look) -> bool:
    stroke, fill = _pens(canvas, look)
    inset = look.line_width / 2
    width, height = look.width - 2 * inset, look.height - 2 * inset
    if width <= 0 or height <= 0:
        return False
    if look.item.get("/Subtype") == pikepdf.Name.Circle:
        canvas.ellipse(inset, inset, inset + width, inset + height, stroke=stroke, fill=fill)
    else:
        canvas.rect(inset, inset, width, height, stroke=stroke, fill=fill)
    return stroke or fill


def _lines(canvas: Canvas, look: _Look) -> bool:
    """Lines, polygons and ink."""
    stroke, fill = _pens(canvas, look)
    strokes = [look.moved(flat) for flat in _strokes(look.item)]
    closed = look.item.get("/Subtype") == pikepdf.Name.Polygon
    path = canvas.beginPath()
    for points in strokes:
        for index, point in enumerate(points):
            (path.lineTo if index else path.moveTo)(*point)
        if closed:
            path.close()
    canvas.drawPath(path, stroke=stroke, fill=fill and closed)
    endings = look.item.get("/LE")
    names = [word(name) for name in endings.as_list()] if isinstance(endings, pikepdf.Array) else []
    for points in strokes if stroke and len(names) > 1 else []:
        for name, ending in zip(names, (points[1::-1], points[-2:]), strict=False):
            if name in {"/OpenArrow", "/ClosedArrow"} and len(ending) > 1:
                _arrow(canvas, ending[0], ending[1], width=look.line_width, closed=name == "/ClosedArrow")
    return bool(strokes) and (stroke or fill)


def _arrow(
    canvas: Canvas, before: tuple[float, float], tip: tuple[float, float], *, width: float, closed: bool
) -> None:
    angle = math.atan2(tip[1] - before[1], tip[0] - before[0])
    path = canvas.beginPath()
    for index, turn in enumerate((math.pi * 5 / 6, 0.0, -math.pi * 5 / 6)):
        length = _ARROW * width if turn else 0.0
        point = (tip[0] + length * math.cos(angle + turn), tip[1] + length * math.sin(angle + turn))
        (path.lineTo if index else path.moveTo)(*point)
    if closed:
        path.close()
        canvas.setFillColor(canvas._strokeColorObj)  # noqa: SLF001 - it cannot be asked for otherwise
    canvas.drawPath(path, stroke=1, fill=closed)


def _markup(canvas: Canvas, look: _Look) -> bool:
    """Highlight, underline, strike-out and squiggly, over each of their four-cornered stretches of text."""
    kind = word(look.item.get("/Subtype"))
    colour = _colour(look.numbers("/C")) or (0.0, 0.0, 0.0)
    canvas.setStrokeColorRGB(*colour)
    canvas.setFillColorRGB(*colour)
    corners = look.points("/QuadPoints")
    for start in range(0, len(corners) - 3, 4):
        across, upright = zip(*corners[start : start + 4], strict=True)
        left, right, low, high = min(across), max(across), min(upright), max(upright)
        canvas.setLineWidth(max((high - low) * 0.06, 0.5))
        if kind == "/Highlight":
            canvas.setBlendMode("Multiply")
            canvas.rect(left, low, right - left, high - low, stroke=0, fill=1)
        elif kind == "/Squiggly":
            _squiggle(canvas, left, right, low)
        else:
            level = low + (high - low) * (0.45 if kind == "/StrikeOut" else 0.08)
            canvas.line(left, level, right, level)
    return len(corners) >= 4  # noqa: PLR2004 - corners


def _squiggle(canvas: Canvas, left: float, right: float, low: float) -> None:
    path = canvas.beginPath()
    path.moveTo(left, low)
    count = min(int((right - left) / _SQUIGGLE), 2000)
    for step in range(1, count + 1):
        path.lineTo(left + step * _SQUIGGLE, low + (_SQUIGGLE if step % 2 else 0))
    canvas.drawPath(path)


def _value(item: pikepdf.Object) -> str:
    """The text of a text or choice field."""
    if inherited_field(item, "/FT") not in {pikepdf.Name.Tx, pikepdf.Name.Ch}:
        return ""
    value = inherited_field(item, "/V")
    return str(value)[:MAX_STAMP_TEXT] if isinstance(value, pikepdf.String) else ""


def _text(canvas: Canvas, look: _Look) -> bool:
    """Free text, and text and choice fields."""
    free = look.item.get("/Subtype") == pikepdf.Name.FreeText
    contents = look.item.get("/Contents")
    value = (str(contents) if isinstance(contents, pikepdf.String) else "") if free else _value(look.item)
    style = inherited_field(look.item, "/DA")
    told = str(style) if isinstance(style, pikepdf.String) else ""
    flags = int(number(inherited_field(look.item, "/Ff")) or 0)
    colour = _told_colour(told)
    if free:
        _free_frame(canvas, look, colour)
    else:
        _field_frame(canvas, look)
    if not free and flags & _PASSWORD:
        value = _MASK * len(value)
    if not value.strip():
        return True
    canvas.setFillColorRGB(*colour)
    sizes = _DA_SIZE.findall(told)
    size = float(sizes[-1]) if sizes else 0.0
    length = int(number(inherited_field(look.item, "/MaxLen")) or 0)
    if flags & _COMB and length > 0:
        _comb(canvas, look, value[:length], length)
        return True
    inset = min(2.0, look.width * 0.04)
    several = free or bool(flags & _MULTILINE)
    width = look.width - 2 * inset
    if 0 < size <= look.height and not free:
        # A size that is told is kept, and what does not fit is cut off at the field's edge, as readers have it.
        lines = wrap_text(value, "body", size, width) if several else [" ".join(value.split())]
    else:
        size, lines = fit_paragraph(value, "body", width, look.height, min(size or _FIELD_SIZE, look.height / LEADING))
    block = (len(lines) - 1) * size * LEADING
    base = look.height - size if several else (look.height + block) / 2 - size * 0.36
    for line in lines:
        free_space = look.width - 2 * inset - text_width(line, "body", size)
        share = {1: 0.5, 2: 1.0}.get(int(number(inherited_field(look.item, "/Q")) or 0), 0.0)
        draw_text(canvas, inset + free_space * share, base, line, "body", size)
        base -= size * LEADING
    return True


def _told_colour(style: str) -> Colour:
    """The colour that a default appearance sets; black if it sets none."""
    found = _DA_COLOUR.findall(style)
    numbers = [float(part) for part in found[-1][0].split() if part.count(".") < 2 and part != "."] if found else []  # noqa: PLR2004
    return _colour(numbers) or (0.0, 0.0, 0.0)


def _free_frame(canvas: Canvas, look: _Look, colour: Colour) -> None:
    """The frame of free text, in the colour of its text, and its background."""
    fill = _colour(look.numbers("/C"))
    canvas.setLineWidth(look.line_width)
    canvas.setStrokeColorRGB(*colour)
    if fill is not None:
        canvas.setFillColorRGB(*fill)
    inner = (look.width - look.line_width, look.height - look.line_width)
    if min(inner) > 0:
        start = look.line_width / 2
        canvas.rect(start, start, *inner, stroke=look.line_width > 0, fill=fill is not None)


def _field_frame(canvas: Canvas, look: _Look) -> None:
    style = look.item.get("/MK")
    if not isinstance(style, pikepdf.Dictionary):
        return
    fill, stroke = _colour(_numbers(style.get("/BG"))), _colour(_numbers(style.get("/BC")))
    width = look.line_width
    canvas.setLineWidth(width)
    if fill is not None:
        canvas.setFillColorRGB(*fill)
    if stroke is not None:
        canvas.setStrokeColorRGB(*stroke)
    inner = (look.width - width, look.height - width)
    if min(inner) > 0:
        has_line = stroke is not None and width > 0
        canvas.rect(width / 2, width / 2, *inner, stroke=has_line, fill=fill is not None)


def _comb(canvas: Canvas, look: _Look, value: str, length: int) -> None:
    cell = look.width / length
    size = min(_FIELD_SIZE, look.height * 0.8)
    for index, char in enumerate(value):
        middle = (index + 0.5) * cell - text_width(char, "body", size) / 2
        draw_text(canvas, middle, look.height / 2 - size * 0.36, char, "body", size)


def _numbers(value: object) -> list[float]:
    if not isinstance(value, pikepdf.Array):
        return []
    return [found for part in value.as_list() if (found := number(part)) is not None]


_DRAW: dict[str, Callable[[Canvas, _Look], bool]] = {
    "/Square": _box,
    "/Circle": _box,
    "/Line": _lines,
    "/PolyLine": _lines,
    "/Polygon": _lines,
    "/Ink": _lines,
    "/Highlight": _markup,
    "/Underline": _markup,
    "/StrikeOut": _markup,
    "/Squiggly": _markup,
    "/FreeText": _text,
    "/Widget": _text,
}
