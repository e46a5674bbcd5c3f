"""The files attached to a PDF, as one revision of it has them (ISO 32000-2, 7.11.4)."""

from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import HistoricalResolver, PdfFileReader

MAX_DEPTH = 32
"""Levels of a name tree; a balanced one with a thousand entries a node never needs more than a few."""

MAX_ENTRIES = 10_000
"""Attachments of one file; more than this is an attack on the reader."""


class AttachmentError(ValueError):
    """An attachment is missing, there twice, or its tree is malformed."""


def read_attachments(reader: PdfFileReader, revision: int, names: tuple[str, ...]) -> dict[str, bytes]:
    """Read attachments of a revision by name.

    Args:
        reader: Over the whole file.
        revision: Which revision's attachments, from 0.
        names: Their names; each must be there exactly once.

    Raises:
        AttachmentError: One is missing or there twice.
    """
    resolver = HistoricalResolver(reader, revision=revision)
    try:
        tree = resolver.root["/Names"]["/EmbeddedFiles"]
    except KeyError:
        tree = None
    found: dict[str, bytes] = {}
    for name, specification in _entries(tree) if isinstance(tree, generic.DictionaryObject) else ():
        # a viewer shows the specification's name, other tools the tree's: they must not differ
        shown = {name, *(str(specification[key]) for key in ("/F", "/UF") if key in specification)}
        for wanted in shown & set(names):
            if shown != {wanted} or wanted in found:
                raise AttachmentError(f"There are two attachments that call themselves {wanted}.")
            found[wanted] = specification["/EF"]["/F"].data
    missing = [name for name in names if name not in found]
    if missing:
        raise AttachmentError(f"The file has no attachment {' and no '.join(missing)}.")
    return found


def _entries(root: generic.DictionaryObject) -> list[tuple[str, generic.DictionaryObject]]:
    entries: list[tuple[str, Any]] = []
    level = [root]
    for _ in range(MAX_DEPTH):
        below: list[generic.DictionaryObject] = []
        for node in level:
            pairs = list(node.get("/Names", ()))
            entries += [(str(key), value) for key, value in zip(pairs[::2], pairs[1::2], strict=True)]
            below += [kid.get_object() for kid in node.get("/Kids", ())]
            if len(entries) + len(below) > MAX_ENTRIES:
                raise AttachmentError("There are too many attachments.")
        if not below:
            return [(key, value.get_object()) for key, value in entries]
        level = below
    raise AttachmentError("The attachments' tree is too deep.")
