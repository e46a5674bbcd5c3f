"""Merges renditions: their pages one after the other, with their outlines and page labels.

Invariants:

* No page changes: it and everything it refers to are the same objects with new numbers.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from zegel.evidence.sealed_file.completion import rendition_pages
from zegel.evidence.sealed_file.graph import references
from zegel.evidence.sealed_file.rendition import FIRST_PAGE, PAGE_TREE, entries_of, page_tree
from zegel.evidence.sealed_file.revisions import CATALOGUE
from zegel.evidence.sealed_file.syntax import Name, Ref, Stream, Value
from zegel_server.pdf.canonical import finish
from zegel_server.pdf.completion.completing import read_rendition
from zegel_server.pdf.limits import MAX_OBJECTS, MAX_PAGES
from zegel_server.pdf.refusal import Refusal, RefusedError

Entries: TypeAlias = dict[str, Value]

_DECIMAL: Entries = {"S": Name("D")}
"""How readers number pages that have no labels (ISO 32000-2, 12.4.2)."""


def merge(renditions: Sequence[bytes]) -> bytes:
    """Make one rendition of several.

    Args:
        renditions: The renditions, in order.

    Raises:
        FormError: One of them is not a rendition.
        RefusedError: Together they have too many pages or objects, or are too large.
    """
    objects: dict[int, Value] = {}
    pages: list[int] = []
    catalogues: list[tuple[Entries, int]] = []
    trees = [PAGE_TREE]
    offset = 0
    for data in renditions:
        read = read_rendition(data)
        own = rendition_pages(read)
        catalogues.append((_moved_entries(entries_of(read.objects, CATALOGUE), offset), len(pages)))
        pages += [number + offset for number in own]
        trees.append(PAGE_TREE + offset)
        objects.update((number + offset, _moved(value, offset)) for number, value in read.objects.items())
        offset += read.size
        if len(pages) > MAX_PAGES or offset > MAX_OBJECTS:
            raise RefusedError(Refusal.TOO_MANY_PAGES if len(pages) > MAX_PAGES else Refusal.TOO_MANY_OBJECTS)
    root = offset + 1
    objects[root] = _catalogue(objects, catalogues, root + 1)
    return finish(_numbered(objects, pages, root, trees))


def _moved(value: Value, offset: int) -> Value:
    """The same value with an offset added to every reference."""
    if isinstance(value, Ref):
        return Ref(value.number + offset)
    if isinstance(value, list):
        return [_moved(item, offset) for item in value]
    if isinstance(value, dict):
        return _moved_entries(value, offset)
    if isinstance(value, Stream):
        return Stream(_moved_entries(value.entries, offset), value.data)
    return value


def _moved_entries(entries: Mapping[str, Value], offset: int) -> Entries:
    return {key: _moved(item, offset) for key, item in entries.items()}


def _catalogue(objects: dict[int, Value], catalogues: Sequence[tuple[Entries, int]], free: int) -> Entries:
    """The common catalogue; new objects are numbered from ``free`` on."""
    found: Entries = {"Type": Name("Catalog"), "Pages": Ref(PAGE_TREE)}
    languages = {each.get("Lang") if isinstance(each.get("Lang"), bytes) else None for each, _ in catalogues}
    if len(languages) == 1 and None not in languages:
        found["Lang"] = next(iter(languages))
    if any("PageLabels" in each for each, _ in catalogues):
        found["PageLabels"] = {"Nums": [part for each, start in catalogues for part in _labels(objects, each, start)]}
    outline = _outline(objects, [each for each, _ in catalogues], free)
    if outline:
        objects[free] = outline
        found["Outlines"] = Ref(free)
    return found


def _labels(objects: Mapping[int, Value], catalogue: Mapping[str, Value], start: int) -> list[Value]:
    """A document's page labels, counted from its first page in the whole."""
    labels = _followed(objects, catalogue.get("PageLabels"))
    numbers = _followed(objects, labels.get("Nums")) if isinstance(labels, dict) else None
    if not isinstance(numbers, list):
        return [start, dict(_DECIMAL)]
    moved: list[Value] = []
    for page, label in zip(numbers[::2], numbers[1::2], strict=False):
        if isinstance(page, int):
            moved += [page + start, label]
    return moved if moved and moved[0] == start else [start, dict(_DECIMAL), *moved]


def _outline(objects: dict[int, Value], catalogues: Sequence[Mapping[str, Value]], root: int) -> Entries | None:
    """An outline of the documents' own, whose first level is theirs, one after the other."""
    first: list[int] = []
    shown = 0
    for catalogue in catalogues:
        own = _followed(objects, catalogue.get("Outlines"))
        count = own.get("Count") if isinstance(own, dict) else None
        shown += count if isinstance(count, int) else 0
        item = own.get("First") if isinstance(own, dict) else None
        while isinstance(item, Ref):
            first.append(item.number)
            following = objects.get(item.number)
            item = following.get("Next") if isinstance(following, dict) else None
    if not first:
        return None
    for index, number in enumerate(first):
        entry = entries_of(objects, number)
        linked = {key: value for key, value in entry.items() if key not in {"Parent", "Prev", "Next"}}
        linked["Parent"] = Ref(root)
        if index:
            linked["Prev"] = Ref(first[index - 1])
        if index < len(first) - 1:
            linked["Next"] = Ref(first[index + 1])
        objects[number] = linked
    return {"Type": Name("Outlines"), "First": Ref(first[0]), "Last": Ref(first[-1]), "Count": shown}


def _followed(objects: Mapping[int, Value], value: Value) -> Value:
    return objects.get(value.number) if isinstance(value, Ref) else value


def _numbered(objects: Mapping[int, Value], pages: Sequence[int], root: int, trees: Sequence[int]) -> dict[int, Value]:
    """The objects that are reached, numbered as a rendition's are; all page trees become the one."""
    numbers = {number: FIRST_PAGE + index for index, number in enumerate(pages)}
    numbers |= {root: CATALOGUE} | dict.fromkeys(trees, PAGE_TREE)
    queue = [*pages, root]
    position, following = 0, FIRST_PAGE + len(pages)
    while position < len(queue):
        for number in references(objects[queue[position]]):
            if number not in numbers:
                numbers[number] = following
                queue.append(number)
                following += 1
        position += 1
    found = {numbers[number]: _renumbered(objects[number], numbers) for number in queue}
    return {**found, PAGE_TREE: page_tree(len(pages))}


def _renumbered(value: Value, numbers: Mapping[int, int]) -> Value:
    if isinstance(value, Ref):
        return Ref(numbers[value.number])
    if isinstance(value, list):
        return [_renumbered(item, numbers) for item in value]
    if isinstance(value, dict):
        return {key: _renumbered(item, numbers) for key, item in value.items()}
    if isinstance(value, Stream):
        return Stream({key: _renumbered(item, numbers) for key, item in value.entries.items()}, value.data)
    return value
