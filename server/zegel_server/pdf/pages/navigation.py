"""Links, outlines, page labels and language: the parts of a PDF's navigation that its rendition keeps.

Invariants:

* A link leads to the web or to a page of the same file, by an explicit destination; nothing else is followed.
* What is kept is rebuilt from checked values, and is bounded, whatever the shape of the original.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pikepdf

from zegel_server.pdf.geometry import number, parts_of
from zegel_server.pdf.limits import MAX_LINKS, MAX_NAMES, MAX_OUTLINE_ITEMS, MAX_PAGE_TREE_DEPTH, MAX_TEXT_BYTES
from zegel_server.pdf.pages.annotations import annotations_of, is_seen, numbers_of
from zegel_server.pdf.pages.optional_content import Visibility

_SCHEMES = (b"https://", b"http://", b"mailto:")
_FITS = {"/XYZ": 3, "/Fit": 0, "/FitH": 1, "/FitV": 1, "/FitR": 4, "/FitB": 0, "/FitBH": 1, "/FitBV": 1}
"""Kinds of destinations, with how many numbers each has (12.3.2.2)."""
_HIGHLIGHTS = {"/N", "/I", "/O", "/P"}
_STYLES = {"/S", "/D", "/B", "/I", "/U"}
_LABELS = {"/D", "/R", "/r", "/A", "/a"}
_MAX_URI = 2_083
"""Maximum size in bytes of an address: some browsers refuse longer ones."""
_MAX_LANGUAGE = 64
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")

Destination = tuple[int, str, tuple[float | None, ...]]
"""A page's index, a kind of view, and its numbers."""


@dataclass(slots=True)
class Entry:
    """An entry of an outline.

    Args:
        title: Its title, as the file spells it.
        target: Where it leads, if anywhere.
        opened: Whether what is below it is shown.
        style: Bold and italic, as flags.
        colour: Red, green, blue.
        kids: What is below it.
    """

    title: bytes
    target: Destination | None
    opened: bool = False
    style: int = 0
    colour: tuple[float, ...] = ()
    kids: list["Entry"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a page.

    Args:
        look: Its entries that say where it is and how it looks.
        uri: Where it leads on the web; empty for none.
        target: Where it leads in the file.
    """

    look: pikepdf.Dictionary
    uri: bytes
    target: Destination | None


class Navigation:
    """The navigation of a PDF.

    Args:
        pdf: The PDF, as it was uploaded.
    """

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._root = pdf.Root
        self._pages = {page.obj.objgen: index for index, page in enumerate(pdf.pages)}
        self._names: dict[bytes, pikepdf.Object] | None = None

    def links(self, page: pikepdf.Object, visibility: Visibility) -> list[Link]:
        """The links of a page that lead somewhere.

        Args:
            page: The page.
            visibility: What layers hide.
        """
        found = []
        for item in annotations_of(page)[:MAX_LINKS]:
            if item.get("/Subtype") == pikepdf.Name.Link and is_seen(item, visibility):
                uri, target = self._leads(item)
                look = _look(item)
                if look is not None and (uri or target):
                    found.append(Link(look, uri, target))
        return found

    def outline(self) -> list[Entry]:
        """The outline's entries of the first level."""
        top: list[Entry] = []
        holder = self._root.get("/Outlines")
        first = holder.get("/First") if isinstance(holder, pikepdf.Dictionary) else None
        seen: set[tuple[int, int]] = set()
        waiting = [(first, top, 0)]
        while waiting:
            item, level, depth = waiting.pop()
            while isinstance(item, pikepdf.Dictionary) and item.objgen not in seen and len(seen) < MAX_OUTLINE_ITEMS:
                seen.add(item.objgen)
                entry = self._entry(item)
                level.append(entry)
                if depth < MAX_PAGE_TREE_DEPTH:
                    waiting.append((item.get("/First"), entry.kids, depth + 1))
                item = item.get("/Next")
        return top

    def labels(self) -> list[tuple[int, pikepdf.Dictionary]]:
        """Page labels, each with the page from which it applies."""
        found: dict[int, pikepdf.Dictionary] = {}
        for key, value in pairs(self._root.get("/PageLabels"), "/Nums"):
            index = number(key)
            if index is None or not isinstance(value, pikepdf.Dictionary) or not 0 <= index < len(self._pages):
                continue
            label = pikepdf.Dictionary()
            style, prefix, start = value.get("/S"), value.get("/P"), number(value.get("/St"))
            if isinstance(style, pikepdf.Name) and any(style == name for name in _LABELS):
                label.S = style
            if isinstance(prefix, pikepdf.String) and len(bytes(prefix)) <= MAX_TEXT_BYTES:
                label.P = prefix
            if start is not None and start >= 1 and start <= 2**31 - 1:
                label.St = int(start)
            found[int(index)] = label
        if found and 0 not in found:
            found[0] = pikepdf.Dictionary(S=pikepdf.Name.D)
        return sorted(found.items())

    def language(self) -> str:
        """The language the file says it is in (RFC 3066); empty if it says none."""
        told = self._root.get("/Lang")
        text = bytes(told).decode("latin-1") if isinstance(told, pikepdf.String) else ""
        if text.startswith(("\xfe\xff", "\xff\xfe")):
            text = str(told)
        return text if len(text) <= _MAX_LANGUAGE and _LANGUAGE.fullmatch(text) else ""

    def _entry(self, item: pikepdf.Object) -> Entry:
        title = item.get("/Title")
        _uri, target = self._leads(item)
        colour = numbers_of(item.get("/C"))
        return Entry(
            title=bytes(title)[:MAX_TEXT_BYTES] if isinstance(title, pikepdf.String) else b"",
            target=target,
            opened=(number(item.get("/Count")) or 0) > 0,
            style=int(number(item.get("/F")) or 0) & 3,
            colour=tuple(colour) if len(colour) == 3 and all(0 <= part <= 1 for part in colour) else (),  # noqa: PLR2004
        )

    def _leads(self, item: pikepdf.Object) -> tuple[bytes, Destination | None]:
        """Where a link or an entry of the outline leads: to the web, or into the file."""
        if (target := self._destination(item.get("/Dest"))) is not None:
            return b"", target
        action = item.get("/A")
        if not isinstance(action, pikepdf.Dictionary):
            return b"", None
        kind = action.get("/S")
        if kind == pikepdf.Name.GoTo:
            return b"", self._destination(action.get("/D"))
        uri = action.get("/URI")
        if kind != pikepdf.Name.URI or not isinstance(uri, pikepdf.String):
            return b"", None
        told = bytes(uri).strip()
        plain = len(told) <= _MAX_URI and all(0x20 < byte < 0x7F for byte in told)  # noqa: PLR2004 - ASCII
        return (told if plain and told.lower().startswith(_SCHEMES) else b""), None

    def _destination(self, value: pikepdf.Object | None) -> Destination | None:
        for _step in range(3):
            if isinstance(value, pikepdf.Name | pikepdf.String):
                value = self._named(value)
            elif isinstance(value, pikepdf.Dictionary):
                value = value.get("/D")
        if not isinstance(value, pikepdf.Array) or not len(value):
            return None
        first, *rest = value.as_list()
        index = self._index(first)
        if index is None:
            return None
        kind = next((name for name in _FITS if rest and isinstance(rest[0], pikepdf.Name) and rest[0] == name), "/Fit")
        numbers = [number(part) for part in rest[1 : 1 + _FITS[kind]]]
        numbers += [None] * (_FITS[kind] - len(numbers))
        if kind == "/FitR" and None in numbers:
            return index, "/Fit", ()
        return index, kind, tuple(numbers)

    def _index(self, page: object) -> int | None:
        if isinstance(page, pikepdf.Dictionary):
            return self._pages.get(page.objgen) if page.is_indirect else None
        # Numbers stand for pages of other files; writers that put them here mean this one's, and viewers go there.
        return page if isinstance(page, int) and 0 <= page < len(self._pages) else None

    def _named(self, name: pikepdf.Object) -> pikepdf.Object | None:
        if isinstance(name, pikepdf.Name):
            older = self._root.get("/Dests")
            return older.get(name) if isinstance(older, pikepdf.Dictionary) else None
        if self._names is None:
            holder = self._root.get("/Names")
            tree = holder.get("/Dests") if isinstance(holder, pikepdf.Dictionary) else None
            self._names = {}
            for key, value in pairs(tree, "/Names"):
                if isinstance(key, pikepdf.String) and isinstance(value, pikepdf.Object):
                    self._names.setdefault(bytes(key), value)
        return self._names.get(bytes(name))


def attach_links(pdf: pikepdf.Pdf, page: pikepdf.Object, links: list[Link]) -> None:
    """Put links onto a page of a rendition, each as a separate object.

    Args:
        pdf: The rendition, with all its pages.
        page: The page.
        links: Its links.
    """
    made = []
    for link in links:
        item = pikepdf.Dictionary({key: link.look[key] for key in link.look.keys()})  # noqa: SIM118 - no mapping
        if link.target is not None:
            item.Dest = _array(pdf, link.target)
        else:
            item.A = pikepdf.Dictionary(S=pikepdf.Name.URI, URI=pikepdf.String(link.uri))
        made.append(pdf.make_indirect(item))
    if made:
        page.Annots = pikepdf.Array(made)


def attach_outline(pdf: pikepdf.Pdf, entries: list[Entry]) -> None:
    """Give a rendition its outline.

    Args:
        pdf: The rendition, with all its pages.
        entries: The outline's entries of the first level.
    """
    if not entries:
        return
    root = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.Outlines))
    waiting = [(root, entries)]
    while waiting:
        parent, level = waiting.pop()
        items = [pdf.make_indirect(_item(pdf, parent, entry)) for entry in level]
        parent.First, parent.Last = items[0], items[-1]
        for one, other in pairwise(items):
            one.Next, other.Prev = other, one
        waiting.extend((item, entry.kids) for item, entry in zip(items, level, strict=True) if entry.kids)
    root.Count = sum(_visible(entry) for entry in entries)
    pdf.Root.Outlines = root


def attach_labels(pdf: pikepdf.Pdf, labels: list[tuple[int, pikepdf.Dictionary]]) -> None:
    """Give a rendition its page labels.

    Args:
        pdf: The rendition.
        labels: Page labels, each with the page from which it applies.
    """
    if labels:
        pdf.Root.PageLabels = pikepdf.Dictionary(Nums=pikepdf.Array([part for pair in labels for part in pair]))


def _item(pdf: pikepdf.Pdf, parent: pikepdf.Object, entry: Entry) -> pikepdf.Dictionary:
    item = pikepdf.Dictionary(Title=pikepdf.String(entry.title), Parent=parent)
    if entry.target is not None:
        item.Dest = _array(pdf, entry.target)
    if entry.kids:
        below = sum(_visible(kid) for kid in entry.kids)
        item.Count = below if entry.opened else -below
    if entry.style:
        item.F = entry.style
    if entry.colour:
        item.C = pikepdf.Array(list(entry.colour))
    return item


def _visible(entry: Entry) -> int:
    """How many entries are shown for one: itself, and what is open below it."""
    count, waiting = 0, [entry]
    while waiting:
        item = waiting.pop()
        count += 1
        if item.opened:
            waiting.extend(item.kids)
    return count


def _array(pdf: pikepdf.Pdf, target: Destination) -> pikepdf.Array:
    index, kind, numbers = target
    return pikepdf.Array([pdf.pages[index].obj, pikepdf.Name(kind), *numbers])


def _look(item: pikepdf.Object) -> pikepdf.Dictionary | None:
    """Where a link is and how it looks, in well-formed values."""
    rectangle = numbers_of(item.get("/Rect"))
    if len(rectangle) != 4:  # noqa: PLR2004 - a rectangle
        return None
    look = pikepdf.Dictionary(Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Link, F=4, Rect=pikepdf.Array(rectangle))
    _copy_border(item, look)
    for key in ("/C", "/QuadPoints"):
        if numbers := numbers_of(item.get(key)):
            look[key] = pikepdf.Array(numbers)
    if any(item.get("/H") == name for name in _HIGHLIGHTS):
        look.H = item.H
    return look


def _copy_border(item: pikepdf.Object, look: pikepdf.Dictionary) -> None:
    border = item.get("/Border")
    if isinstance(border, pikepdf.Array):
        parts = border.as_list()
        dashes = numbers_of(parts[3]) if len(parts) > 3 else []  # noqa: PLR2004 - the fourth are its dashes
        if len(widths := numbers_of(pikepdf.Array(parts[:3]))) == 3:  # noqa: PLR2004
            look.Border = pikepdf.Array([*widths, pikepdf.Array(dashes)] if dashes else widths)
    style = item.get("/BS")
    if isinstance(style, pikepdf.Dictionary):
        look.BS = pikepdf.Dictionary()
        if (width := number(style.get("/W"))) is not None:
            look.BS.W = width
        if any(style.get("/S") == name for name in _STYLES):
            look.BS.S = style.S
        if dashes := numbers_of(style.get("/D")):
            look.BS.D = pikepdf.Array(dashes)


def pairs(root: pikepdf.Object | None, leaf: str) -> Iterator[tuple[object, object]]:
    """The pairs of a name or number tree (7.9.6), in order, up to a limit.

    Args:
        root: The tree's root.
        leaf: ``/Names`` or ``/Nums``.
    """
    waiting = [root]
    seen: set[tuple[int, int]] = set()
    count = 0
    while waiting:
        node = waiting.pop()
        if not isinstance(node, pikepdf.Dictionary) or (node.is_indirect and node.objgen in seen):
            continue
        seen.add(node.objgen)
        pairs = node.get(leaf)
        items = parts_of(pairs)
        for key, value in zip(items[::2], items[1::2], strict=False):
            count += 1
            if count > MAX_NAMES:
                return
            yield key, value
        kids = node.get("/Kids")
        waiting.extend(reversed(kids.as_list()) if isinstance(kids, pikepdf.Array) else [])
        if len(waiting) > MAX_NAMES:
            return
