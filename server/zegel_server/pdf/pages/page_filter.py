"""Separates what a page's look depends on from everything else in a file.

Invariants:

* Afterwards a page refers only to objects of the kinds in :mod:`zegel_server.pdf.pages.kinds`, and to what its content
  names.
* Everything that draws has the resources that it names, as viewers find them: its own, or else those of what draws it.
* What layers hide is removed, with its resources.
* Each object is visited once for each of its uses, so the work is linear in the file's size.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pikepdf

from zegel_server.pdf.limits import MAX_FORM_DEPTH
from zegel_server.pdf.pages.content import names
from zegel_server.pdf.pages.decoding import decoded, decoded_soundly
from zegel_server.pdf.pages.kinds import CATEGORIES, KEYS, NAMED
from zegel_server.pdf.pages.optional_content import Visibility, frozen

_ALWAYS = ("/DefaultGray", "/DefaultRGB", "/DefaultCMYK")
"""Colour spaces that are used without being named."""
_DRAWING = {"form", "pattern", "glyph"}
_TILING = 1

_Key = tuple[tuple[int, int], str]


@dataclass(frozen=True, slots=True, eq=False)
class _Scope:
    """Where names are looked up: first in an object's own resources, then in those of whatever draws it.

    Args:
        own: Its categories of resources.
        around: Where to look next, if anywhere.
    """

    own: Mapping[str, pikepdf.Object]
    around: "_Scope | None" = None

    def find(self, category: str, name: str) -> pikepdf.Object | None:
        scope: _Scope | None = self
        for _level in range(MAX_FORM_DEPTH):
            if scope is None:
                return None
            if (found := scope.own.get(category)) is not None and (item := entry(found, name)) is not None:
                return item
            scope = scope.around
        return None

    def hidden(self, visibility: Visibility) -> frozenset[str]:
        """The names of hidden layers in these resources."""
        scope: _Scope | None = self
        while scope is not None and not scope.own:
            scope = scope.around
        properties = scope.own.get("/Properties") if scope else None
        if properties is None:
            return frozenset()
        return frozenset(name for name in properties.keys() if visibility.hidden(entry(properties, name)))  # noqa: SIM118


class PageFilter:
    """Goes through all that pages refer to, and removes what has no place in a rendition; works in place.

    Args:
        pdf: The PDF.
        visibility: What its layers hide.
    """

    def __init__(self, pdf: pikepdf.Pdf, visibility: Visibility) -> None:
        self._pdf = pdf
        self._visibility = visibility
        self._seen: set[_Key] = set()
        self._keep: dict[tuple[int, int], tuple[pikepdf.Object, set[str]]] = {}
        self._waiting: list[tuple[pikepdf.Object, str, _Scope]] = []
        self._borrowers: dict[_Key, list[tuple[pikepdf.Object, dict[tuple[str, str], object]]]] = {}
        self._named: dict[tuple[int, int], frozenset[str]] = {}

    def page(self, content: bytes, resources: pikepdf.Object | None) -> tuple[bytes, pikepdf.Dictionary]:
        """Sort out what a page refers to.

        Args:
            content: Its decoded content.
            resources: Its own or inherited resources; may be any value.

        Returns:
            The content without layers, and the resources that it names.
        """
        scope = _Scope(_categories(resources))
        if self._visibility.layered:
            content = frozen(content, scope.hidden(self._visibility))
        named = self._resources(names(content), scope)
        self._work()
        return content, named

    def group(self, value: object) -> object | None:
        """Sort out a page's transparency group.

        Args:
            value: The page's ``/Group``; may be any value.

        Returns:
            The group, or ``None`` if it is not one.
        """
        if not isinstance(value, pikepdf.Dictionary):
            return None
        found = self._value(value, "group", _Scope({}))
        self._work()
        return found

    def finish(self) -> None:
        """Remove keys that no use of an object needs; called once, after the last page."""
        for item, keys in self._keep.values():
            _prune(item, keys)

    def _work(self) -> None:
        while self._waiting:
            self._look(*self._waiting.pop())

    # ------------------------------------------------------------------------------------------- what content names

    def _resources(self, named: frozenset[str], scope: _Scope) -> pikepdf.Dictionary:
        """The resources that content names, in a dictionary of its own."""
        chosen: dict[str, dict[str, pikepdf.Object]] = {category: {} for category in CATEGORIES}
        known: frozenset[str] = frozenset()
        while new := named - known:
            known |= new
            for category in CATEGORIES:
                for name in new:
                    item = scope.find(category, name)
                    if item is not None:
                        chosen[category][name] = item
                        named |= self._borrowed_names(item)
        chosen["/ColorSpace"].update(
            (name, item) for name in _ALWAYS if (item := scope.find("/ColorSpace", name)) is not None
        )
        result = pikepdf.Dictionary()
        for category, kind in CATEGORIES.items():
            kept = pikepdf.Dictionary()
            for name, item in sorted(chosen[category].items()):
                sifted = self._resource(item, kind, scope)
                if sifted is not None:
                    kept[name] = sifted
            if len(kept):
                result[category] = kept
        return result

    def _resource(self, item: pikepdf.Object, kind: str, scope: _Scope) -> object | None:
        if kind == "mark":
            return _mark(item)
        if kind == "drawn":
            if not isinstance(item, pikepdf.Stream) or self._visibility.hidden(item.get("/OC")):
                return None
            subtype = item.get("/Subtype")
            kind = "form" if subtype == pikepdf.Name.Form else "image" if subtype == pikepdf.Name.Image else ""
        return self._value(item, kind, scope)

    def _borrowed_names(self, item: pikepdf.Object) -> frozenset[str]:
        """What an object without resources of its own names: it uses those of whatever draws it."""
        if isinstance(item, pikepdf.Dictionary | pikepdf.Stream) and _borrows(item):
            return self._names(item)
        return frozenset()

    def _names(self, item: pikepdf.Object) -> frozenset[str]:
        """What a form, a pattern, or all glyphs of a font name."""
        if isinstance(item, pikepdf.Stream):
            if item.objgen not in self._named:
                self._named[item.objgen] = names(decoded(item) or b"")
            return self._named[item.objgen]
        glyphs = item.get("/CharProcs")
        streams = [entry(glyphs, key) for key in glyphs.keys()] if isinstance(glyphs, pikepdf.Dictionary) else []  # noqa: SIM118
        return frozenset().union(*(self._names(part) for part in streams if isinstance(part, pikepdf.Stream)))

    # ------------------------------------------------------------------------------------------------- other objects

    def _value(self, value: object, kind: str, scope: _Scope) -> object | None:
        """A value of a kind, which is visited later; ``None`` if it has no place there."""
        if isinstance(value, pikepdf.Array):
            self._array(value, kind, scope)
            return value
        if not isinstance(value, pikepdf.Dictionary | pikepdf.Stream):
            return value
        if kind not in KEYS and kind not in NAMED:
            return None
        if _borrows(value) or (value.objgen, kind) in self._borrowers:
            return self._borrower(value, kind, scope)
        if value.is_indirect:
            if (value.objgen, kind) in self._seen:
                return value
            self._seen.add((value.objgen, kind))
        self._waiting.append((value, kind, scope))
        return value

    def _borrower(self, value: pikepdf.Object, kind: str, scope: _Scope) -> pikepdf.Object:
        """An object without resources of its own: a copy for each set of resources that it is drawn with."""
        needed = self._names(value)
        found = {(category, name): _identity(scope.find(category, name)) for category in CATEGORIES for name in needed}
        if not value.is_indirect:
            self._waiting.append((value, kind, scope))
            return value
        made = self._borrowers.setdefault((value.objgen, kind), [])
        for known, before in made:
            if before == found:
                return known
        # The first is the object itself. Copies are made of its original state, so it must not change while it may be
        # copied.
        copied = self._pdf.make_indirect(_copied(self._pdf, value))
        made.append((copied, found))
        self._waiting.append((copied, kind, scope))
        return copied

    def _array(self, value: pikepdf.Object, kind: str, scope: _Scope) -> None:
        """Visit an array's elements; those that have no place there become null."""
        if value.is_indirect:
            if (value.objgen, kind) in self._seen:
                return
            self._seen.add((value.objgen, kind))
        for index, part in enumerate(value.as_list()):
            if isinstance(part, pikepdf.Array | pikepdf.Dictionary | pikepdf.Stream):
                sifted = self._value(part, kind, scope)
                if sifted is not part:
                    value[index] = sifted

    def _look(self, item: pikepdf.Object, kind: str, scope: _Scope) -> None:
        """Visit a dictionary or stream: its entries, and what it draws."""
        inner = scope
        if kind in _DRAWING or (kind == "font" and "/CharProcs" in item):
            inner = _Scope(_categories(item.get("/Resources")), scope)
            self._draw(item, kind, inner)
        free, known = NAMED.get(kind), KEYS.get(kind, {})
        kept: set[str] = set()
        for key in list(item.keys()):
            wanted = free or known.get(key)
            if wanted is None:
                continue
            if wanted == "resources":
                kept.add(key)
                continue
            value = item[key]
            sifted = self._value(value, wanted, inner)
            if sifted is not None:
                kept.add(key)
                if sifted is not value:
                    item[key] = sifted
        if item.is_indirect:
            self._keep.setdefault(item.objgen, (item, set()))[1].update(kept)
        else:
            _prune(item, kept)

    def _draw(self, item: pikepdf.Object, kind: str, scope: _Scope) -> None:
        """Give an object that draws the resources that it names, and remove its layers."""
        if isinstance(item, pikepdf.Stream):
            if kind == "pattern" and "/Shading" in item:
                return
            raw, sound = decoded_soundly(item)
            content = raw or b""
            if self._visibility.layered:
                content = frozen(content, scope.hidden(self._visibility))
            if content != raw or not sound:
                replace_data(item, content)
            if kind == "glyph" and not scope.own:
                return  # its font has its resources
            needed = names(content)
        else:
            needed = self._names(item)
        item["/Resources"] = self._resources(needed, scope)


def entry(holder: pikepdf.Object, key: str) -> pikepdf.Object | None:
    """A dictionary's entry under any name: ``get`` takes only those that are text.

    Args:
        holder: The dictionary, or a stream.
        key: The name, with its slash.
    """
    return holder[key] if key in holder else None  # noqa: SIM401 - see above


def shallow(holder: object) -> pikepdf.Dictionary:
    """A new dictionary with the same entries, whatever their names; an empty one for any other value.

    Args:
        holder: A dictionary, a stream, or any other value.
    """
    made = pikepdf.Dictionary()
    if isinstance(holder, pikepdf.Dictionary | pikepdf.Stream):
        for key in holder.keys():  # noqa: SIM118 - no mapping
            made[key] = holder[key]
    return made


def _categories(resources: object) -> dict[str, pikepdf.Object]:
    """The categories of resources; a stream's dictionary counts, as some viewers take it for one."""
    if not isinstance(resources, pikepdf.Dictionary | pikepdf.Stream):
        return {}
    found = {category: resources.get(category) for category in CATEGORIES}
    return {category: named for category, named in found.items() if isinstance(named, pikepdf.Dictionary)}


def _borrows(item: pikepdf.Object) -> bool:
    """Whether something draws without resources of its own."""
    if isinstance(item.get("/Resources"), pikepdf.Dictionary | pikepdf.Stream):
        return False
    if isinstance(item, pikepdf.Stream):
        return item.get("/Subtype") == pikepdf.Name.Form or item.get("/PatternType") == _TILING
    return isinstance(item.get("/CharProcs"), pikepdf.Dictionary)


def _identity(item: pikepdf.Object | None) -> object:
    """A value that is equal only for the same object."""
    if item is None:
        return None
    return item.objgen if item.is_indirect else item.unparse()


def _copied(pdf: pikepdf.Pdf, item: pikepdf.Object) -> pikepdf.Object:
    """A copy of a form, pattern or font with the same entries."""
    if not isinstance(item, pikepdf.Stream):
        made = shallow(item)
        glyphs = made.get("/CharProcs")
        if isinstance(glyphs, pikepdf.Dictionary):
            made["/CharProcs"] = shallow(glyphs)
            for key in glyphs.keys():  # noqa: SIM118 - no mapping
                if isinstance(part := glyphs[key], pikepdf.Stream):
                    made["/CharProcs"][key] = _copied(pdf, part)
        return made
    stream = pikepdf.Stream(pdf, bytes(item.read_raw_bytes()))
    for key in item.keys():  # noqa: SIM118
        if key != "/Length":
            stream[key] = item[key]
    return stream


def _mark(item: pikepdf.Object) -> pikepdf.Dictionary:
    """What marked content says about its text, without layers and files."""
    found = pikepdf.Dictionary()
    if isinstance(item, pikepdf.Dictionary):
        for key in KEYS["mark"]:
            value = item.get(key)
            if isinstance(value, pikepdf.String | int):
                found[key] = value
    return found


def replace_data(stream: pikepdf.Stream, content: bytes) -> None:
    """Give a stream other data, without a filter.

    Args:
        stream: The stream.
        content: The data.
    """
    for key in ("/Filter", "/DecodeParms", "/F", "/FFilter", "/FDecodeParms", "/DL"):
        if key in stream:
            del stream[key]
    stream.write(content)


def _prune(item: pikepdf.Object, keys: set[str]) -> None:
    for key in set(item.keys()) - keys:
        if key != "/Length":
            del item[key]
