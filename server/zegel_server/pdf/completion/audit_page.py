"""The readable audit pages at the end of a signed PDF.

They show people what ``audit.jsonl``, attached to the same file, holds for programs. A page's content is recorded first
and drawn later, since its footer gives the number of pages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reportlab.pdfgen.canvas import Canvas

from zegel_server.pdf.fonts.typesetting import cut_text, draw_text, shortened, text_width, wrap_text
from zegel_server.pdf.model import AuditDocument, AuditEvent, AuditOrigin, AuditPage, AuditParty

Colour = tuple[float, float, float]

PAGE_WIDTH, PAGE_HEIGHT = 595.276, 841.89
"""A4 in points."""

_MARGIN = 54.0
_TOP = PAGE_HEIGHT - 92.0
_BOTTOM = 74.0
_WIDTH = PAGE_WIDTH - 2 * _MARGIN

_INK: Colour = (0.09, 0.12, 0.18)
_MUTED: Colour = (0.38, 0.42, 0.49)
_LINE: Colour = (0.84, 0.86, 0.89)
_TINT: Colour = (0.957, 0.965, 0.976)
_ACCENT: Colour = (0.11, 0.30, 0.49)
_GOOD: Colour = (0.10, 0.42, 0.27)
_BAD: Colour = (0.66, 0.16, 0.14)

_GOOD_WORDS = {"signed", "approved", "viewed", "completed", "received"}
_BAD_WORDS = {"declined", "expired", "canceled"}

_ZONES = "All times are in Coordinated Universal Time (UTC); a day of signing is that of the time zone beside it."

_ORIGINS = (
    "Zegel sees the address and the program that called it. Where the sender's application called for a signer, these"
    " are the application's own. It may then say where the signer was; Zegel records that as the caller's assertion"
    " and has not seen it for itself."
)

_MAX_CELL_LINES = 12
"""Lines of one cell; a longer text ends in an ellipsis, and is whole in ``audit.jsonl``."""

_MAX_TITLE_LINES = 3
"""Lines of the title at the head of the first page, likewise."""


@dataclass(frozen=True, slots=True)
class _Style:
    stack: str
    size: float
    colour: Colour
    leading: float


_BODY = _Style("body", 8.6, _INK, 11.6)
_STRONG = _Style("bold", 8.6, _INK, 11.6)
_SMALL = _Style("body", 7.6, _MUTED, 10.4)
_CODE = _Style("mono", 7.2, _MUTED, 10.4)
_LABEL = _Style("bold", 6.6, _MUTED, 9.0)
_HEADING = _Style("bold", 10.4, _ACCENT, 14.0)

Draw = Callable[[Canvas], None]


def draw_audit_pages(canvas: Canvas, audit: AuditPage) -> int:
    """Draw the audit pages, each ended with ``showPage``.

    Args:
        canvas: The canvas to draw on.
        audit: The content of the pages.

    Returns:
        The number of pages.
    """
    sheet = _Sheet()
    _title(sheet, audit)
    _identifier(sheet, audit)
    _documents(sheet, audit.documents)
    _parties(sheet, audit.parties)
    _origins(sheet, audit.origins)
    _history(sheet, audit.events)
    _verification(sheet, audit)
    for number, drawings in enumerate(sheet.pages, 1):
        canvas.setPageSize((PAGE_WIDTH, PAGE_HEIGHT))
        _frame(canvas, audit, number, len(sheet.pages))
        for draw in drawings:
            draw(canvas)
        canvas.showPage()
    return len(sheet.pages)


@dataclass
class _Sheet:
    """Pages being filled from the top; ``y`` is where the next thing's upper edge goes."""

    pages: list[list[Draw]] = field(default_factory=lambda: [[]])
    y: float = _TOP
    on_new_page: Callable[[], None] | None = None

    def room(self, height: float) -> None:
        """Begin a new page unless this one has that much height left."""
        if self.y - height < _BOTTOM and self.y < _TOP:
            self.pages.append([])
            self.y = _TOP
            if self.on_new_page is not None:
                self.on_new_page()

    def add(self, draw: Draw) -> None:
        self.pages[-1].append(draw)

    def text(self, x: float, top: float, text: str, style: _Style) -> None:
        """A line whose upper edge is ``top``."""
        base = top - style.size * 0.93

        def draw(canvas: Canvas) -> None:
            canvas.setFillColorRGB(*style.colour)
            draw_text(canvas, x, base, text, style.stack, style.size)

        self.add(draw)

    def rule(self, y: float, colour: Colour = _LINE, thickness: float = 0.5) -> None:
        def draw(canvas: Canvas) -> None:
            canvas.setStrokeColorRGB(*colour)
            canvas.setLineWidth(thickness)
            canvas.line(_MARGIN, y, PAGE_WIDTH - _MARGIN, y)

        self.add(draw)


@dataclass(frozen=True, slots=True)
class _Cell:
    """Lines of a table's cell; each paragraph has its own style."""

    paragraphs: tuple[tuple[str, _Style], ...]

    def lines(self, width: float) -> list[tuple[str, _Style]]:
        found = [
            (line, style)
            for text, style in self.paragraphs
            if text
            for line in wrap_text(text, style.stack, style.size, width)
        ]
        if len(found) > _MAX_CELL_LINES:
            line, style = found[_MAX_CELL_LINES - 1]
            found = [*found[: _MAX_CELL_LINES - 1], (shortened(line, style.stack, style.size, width), style)]
        return found


def _title(sheet: _Sheet, audit: AuditPage) -> None:
    style = _Style("bold", 19.0, _INK, 24.0)
    lines = wrap_text(audit.title, style.stack, style.size, _WIDTH)
    if len(lines) > _MAX_TITLE_LINES:
        last = shortened(lines[_MAX_TITLE_LINES - 1], style.stack, style.size, _WIDTH)
        lines = [*lines[: _MAX_TITLE_LINES - 1], last]
    for line in lines:
        sheet.text(_MARGIN, sheet.y, line, style)
        sheet.y -= style.leading
    sheet.y -= 2.0
    told = f"Sent by {audit.tenant_name}" + (
        f"  \u00b7  Completed {audit.completed_time}" if audit.completed_time else ""
    )
    for line in (*wrap_text(told, "body", 9.4, _WIDTH), *wrap_text(_ZONES, "body", 9.4, _WIDTH)):
        sheet.text(_MARGIN, sheet.y, line, _Style("body", 9.4, _MUTED, 13.0))
        sheet.y -= 13.0
    sheet.y -= 9.0


def _identifier(sheet: _Sheet, audit: AuditPage) -> None:
    size = 15.0
    while text_width(audit.audit_id, "mono", size) > _WIDTH - 28 and size > 5:  # noqa: PLR2004 - points
        size -= 0.5
    height = 48.0
    top = sheet.y

    def panel(canvas: Canvas) -> None:
        canvas.setFillColorRGB(*_TINT)
        canvas.roundRect(_MARGIN, top - height, _WIDTH, height, 3, stroke=0, fill=1)
        canvas.setFillColorRGB(*_ACCENT)
        canvas.rect(_MARGIN, top - height, 2.4, height, stroke=0, fill=1)

    sheet.add(panel)
    sheet.text(_MARGIN + 14, top - 9.0, "AUDIT ID", _LABEL)
    sheet.text(_MARGIN + 14, top - 21.5, audit.audit_id, _Style("mono", size, _INK, size))
    sheet.y -= height + 20.0


def _documents(sheet: _Sheet, documents: list[AuditDocument]) -> None:
    rows = [
        (
            _Cell(((item.title, _STRONG), (item.sha256, _CODE))),
            _Cell(((f"{item.pages:,} page{'' if item.pages == 1 else 's'}", _SMALL),)),
        )
        for item in documents
    ]
    _table(sheet, "Documents", ("TITLE AND SHA-256", "LENGTH"), (0.86, 0.14), rows)


def _parties(sheet: _Sheet, parties: list[AuditParty]) -> None:
    rows = []
    for party in parties:
        word = party.status.lower()
        colour = _GOOD if word in _GOOD_WORDS else _BAD if word in _BAD_WORDS else _INK
        status = _Style("bold", 8.6, colour, 11.6)
        rows.append(
            (
                _Cell(((party.name, _STRONG), (party.email, _SMALL))),
                _Cell(((party.role, _BODY),)),
                _Cell(((party.status, status), (party.time, _SMALL), (party.day and f"Dated {party.day}", _SMALL))),
                _Cell(((party.detail, _SMALL),)),
            )
        )
    _table(sheet, "Parties", ("NAME", "ROLE", "STATUS", "IDENTIFIED BY"), (0.31, 0.09, 0.30, 0.30), rows)


def _origins(sheet: _Sheet, origins: Sequence[AuditOrigin]) -> None:
    if not origins:
        return
    rows = [
        (
            _Cell(((origin.who, _STRONG), (origin.acts, _SMALL))),
            _Cell(((origin.seen, _SMALL),)),
            _Cell(((origin.asserted or "Nothing", _SMALL),)),
        )
        for origin in origins
    ]
    heads = ("SIGNER", "SEEN BY ZEGEL", "ASSERTED BY THE CALLER, NOT SEEN BY ZEGEL")
    _table(sheet, "Where signers acted", heads, (0.24, 0.38, 0.38), rows, note=_ORIGINS)


def _history(sheet: _Sheet, events: list[AuditEvent]) -> None:
    rows = [
        (
            _Cell(((event.time, _Style("mono", 7.4, _INK, 11.6)),)),
            _Cell(((event.text, _BODY),)),
            _Cell(((event.who, _SMALL),)),
        )
        for event in events
    ]
    _table(sheet, "History", ("TIME (UTC)", "WHAT HAPPENED", "WHO"), (0.25, 0.45, 0.30), rows)


def _table(
    sheet: _Sheet,
    title: str,
    heads: tuple[str, ...],
    shares: tuple[float, ...],
    rows: Sequence[tuple[_Cell, ...]],
    *,
    note: str = "",
) -> None:
    """A titled table, with a note under its title, whose head is repeated on every page it reaches."""
    gap = 12.0
    lefts = [_MARGIN + _WIDTH * sum(shares[:index]) for index in range(len(shares))]
    widths = [_WIDTH * share - (gap if index < len(shares) - 1 else 0) for index, share in enumerate(shares)]

    def head() -> None:
        for left, label in zip(lefts, heads, strict=True):
            sheet.text(left, sheet.y, label, _LABEL)
        sheet.y -= _LABEL.leading + 2.5
        sheet.rule(sheet.y, _MUTED, 0.6)
        sheet.y -= 5.5

    sheet.room(100.0 if note else 70.0)
    sheet.text(_MARGIN, sheet.y, title, _HEADING)
    sheet.y -= _HEADING.leading + 5.0
    for line in wrap_text(note, _SMALL.stack, _SMALL.size, _WIDTH) if note else ():
        sheet.text(_MARGIN, sheet.y, line, _SMALL)
        sheet.y -= _SMALL.leading
    sheet.y -= 5.0 if note else 0.0
    head()
    sheet.on_new_page = head
    for index, row in enumerate(rows):
        cells = [cell.lines(width) for cell, width in zip(row, widths, strict=True)]
        height = max(sum(style.leading for _line, style in cell) for cell in cells) if any(cells) else _BODY.leading
        sheet.room(height + 2.0)
        for left, cell in zip(lefts, cells, strict=True):
            top = sheet.y
            for line, style in cell:
                # Smaller styles start a little lower, so that the first lines of a row share a baseline.
                sheet.text(left, top - (_BODY.size - style.size) * 0.93 if top == sheet.y else top, line, style)
                top -= style.leading
        sheet.y -= height + 3.0
        if index < len(rows) - 1:
            sheet.rule(sheet.y)
            sheet.y -= 4.5
    sheet.on_new_page = None
    sheet.y -= 16.0


def _verification(sheet: _Sheet, audit: AuditPage) -> None:
    style = _Style("body", 8.6, _INK, 12.2)
    text = (
        "This file carries a digital seal that covers all of it, and the evidence of its audit trail as attachments. "
        "Both can be checked offline, without asking whoever produced it: any PDF reader shows whether the seal is "
        "intact, and the open-source command below also proves that the history was recorded in the append-only log "
        "named at the foot of this page."
    )
    lines = wrap_text(text, style.stack, style.size, _WIDTH)
    hints = wrap_text(audit.verify_hint, "mono", 8.4, _WIDTH - 24) if audit.verify_hint else []
    sheet.room(_HEADING.leading + len(lines) * style.leading + len(hints) * 12.0 + 30.0)
    sheet.text(_MARGIN, sheet.y, "How to verify", _HEADING)
    sheet.y -= _HEADING.leading + 4.0
    for line in lines:
        sheet.text(_MARGIN, sheet.y, line, style)
        sheet.y -= style.leading
    if not hints:
        return
    sheet.y -= 6.0
    top, height = sheet.y, len(hints) * 12.0 + 12.0

    def panel(canvas: Canvas) -> None:
        canvas.setFillColorRGB(*_TINT)
        canvas.roundRect(_MARGIN, top - height, _WIDTH, height, 3, stroke=0, fill=1)

    sheet.add(panel)
    for index, line in enumerate(hints):
        sheet.text(_MARGIN + 12, top - 8.0 - index * 12.0, line, _Style("mono", 8.4, _INK, 12.0))
    sheet.y -= height


def _frame(canvas: Canvas, audit: AuditPage, number: int, count: int) -> None:
    """Header and footer of a page."""
    head = PAGE_HEIGHT - 56.0
    canvas.setFillColorRGB(*_ACCENT)
    draw_text(canvas, _MARGIN, head, "Audit trail", "bold", 9.4)
    canvas.setFillColorRGB(*_MUTED)
    tenant = cut_text(" ".join(audit.tenant_name.split()), "body", 8.6, _WIDTH * 0.7)
    draw_text(canvas, PAGE_WIDTH - _MARGIN - text_width(tenant, "body", 8.6), head, tenant, "body", 8.6)
    canvas.setStrokeColorRGB(*_ACCENT)
    canvas.setLineWidth(0.8)
    canvas.line(_MARGIN, head - 9.0, PAGE_WIDTH - _MARGIN, head - 9.0)
    canvas.setStrokeColorRGB(*_LINE)
    canvas.setLineWidth(0.5)
    canvas.line(_MARGIN, 56.0, PAGE_WIDTH - _MARGIN, 56.0)
    canvas.setFillColorRGB(*_MUTED)
    draw_text(canvas, _MARGIN, 43.0, f"Log {audit.origin}", "body", 7.4)
    if number > 1:
        draw_text(canvas, _MARGIN, 33.0, audit.audit_id, "mono", 6.6)
    page = f"Audit page {number:,} of {count:,}"
    draw_text(canvas, PAGE_WIDTH - _MARGIN - text_width(page, "body", 7.4), 43.0, page, "body", 7.4)
