"""Writes the flat names of the SDK, ``zegel.Field`` and ``zegel.FieldType.SIGNATURE``, from the contracts.

It writes two modules: ``zegel/enums.py`` with every enum and every permission, and ``zegel/_names.py``, which states
for the import system and for type checkers where each name of ``zegel`` is loaded from. ``scripts/generate_protos.py``
runs this.

Invariants:

* Every message and enum that can occur in a request or a response has a name, and so has every error of
  ``zegel.errors``.
* Two things never share a name; in a conflict, one has to be renamed in the contracts.
"""

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor

from contracts import ROOT, Contracts, GenerationError, value_name

ENUMS: Final = Path("zegel/enums.py")
NAMES: Final = Path("zegel/_names.py")

ERRORS: Final = ROOT / "clients/python/zegel/errors.py"

BY_HAND: Final = frozenset({"Client", "aio", "errors"})
"""The names of ``zegel`` that are not generated here."""

PERMISSIONS: Final = "Permission"

WIDTH: Final = 116
"""Maximum columns of a docstring's text within a class."""


def write_face(target: Path, contracts: Contracts) -> None:
    """Writes both modules.

    Args:
        target: Folder that has ``zegel/``.
        contracts: The contracts.

    Raises:
        GenerationError: Two things share a name, or a value of an enum does not begin with its enum's name.
    """
    enums = list(_face_enums(contracts))
    places = _places(contracts, enums)
    (target / NAMES).write_text(_names_module(places), encoding="utf-8")
    (target / ENUMS).write_text(_enums_module(contracts, enums), encoding="utf-8")


def _face_enums(contracts: Contracts) -> Iterator[EnumDescriptor]:
    """Enums that can occur in a call, and those that are sent by name because no field has them as its type."""
    spoken = {field.enum_type.full_name for each in contracts.spoken for field in each.fields if field.enum_type}
    for enum in contracts.enums:
        if enum.full_name in spoken or enum.full_name not in contracts.held_enums():
            yield enum


def _places(contracts: Contracts, enums: list[EnumDescriptor]) -> dict[str, str]:
    """The module of each name."""
    told = [(each.name, _module_of(each)) for each in contracts.spoken]
    told += [(each.name, "zegel.enums") for each in enums] + [(PERMISSIONS, "zegel.enums")]
    told += [(name, "zegel.errors") for name in error_names()]
    places: dict[str, str] = {}
    for name, module in told:
        if name in places or name in BY_HAND:
            raise GenerationError(f"{name} of {module} and {name} of {places.get(name, 'zegel')} need two names")
        places[name] = module
    return dict(sorted(places.items()))


def _module_of(message: Descriptor | EnumDescriptor) -> str:
    if message.containing_type is not None:
        raise GenerationError(f"{message.full_name} has to stand by itself, so that it has a name in the SDK")
    return message.file.name.removesuffix(".proto").replace("/", ".") + "_pb2"


def error_names() -> list[str]:
    """The public classes of ``zegel.errors``, read without importing it."""
    tree = ast.parse(ERRORS.read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]


def _enums_module(contracts: Contracts, enums: list[EnumDescriptor]) -> str:
    held = contracts.held_enums()
    numbered = [each for each in enums if each.full_name in held]
    modules = sorted({_module_of(each) for each in numbered})
    lines = [
        '"""Every enum of the contracts, and every permission, each also a name of ``zegel``. Generated from `protos`.',
        "",
        "Values stand without the enum's name before them. A call takes them, and an answer's compare with them.",
        "What travels as a number is an ``IntEnum``: ``zegel.FieldType(field.type).name`` gives an answer's number its",
        "name. What travels by name is a ``StrEnum``: ``error.reason == zegel.ErrorReason.DOCUMENT_ENCRYPTED``.",
        '"""',
        "",
        "from enum import StrEnum",
        "from typing import TYPE_CHECKING",
        "",
        "from zegel._enumeration import OpenEnum",
        "",
        "if TYPE_CHECKING:  # a type checker takes them where a message wants the generated enum's values",
    ]
    lines += [f"    from {module.rpartition('.')[0]} import {module.rpartition('.')[2]}" for module in modules]
    for each in numbered:
        base = f"{_module_of(each).rpartition('.')[2]}.{each.name}.ValueType"
        lines += ["", f"    class _{each.name}({base}, OpenEnum): ...  # type: ignore[misc]"]
    lines += ["", "else:", *(f"    _{each.name} = OpenEnum" for each in numbered)]
    for each in enums:
        lines += _enum_class(contracts, each, numbered=each.full_name in held)
    lines += ["", "", f"class {PERMISSIONS}(StrEnum):"]
    lines += _docstring("What a role may allow: every permission that a method of the contracts demands.")
    users: dict[str, list[str]] = {}
    for method in contracts.methods:
        users.setdefault(contracts.permission(method), []).append(method.name)
    for permission in sorted(users):
        lines += ["", f"    {permission.replace('.', '_').upper()} = {permission!r}".replace("'", '"')]
        lines += _docstring(f"Demanded by {', '.join(f'`{name}`' for name in users[permission])}.")
    return "\n".join(lines) + "\n"


def _enum_class(contracts: Contracts, enum: EnumDescriptor, *, numbered: bool) -> Iterator[str]:
    base = f"_{enum.name}" if numbered else "StrEnum"
    yield from ("", "", f"class {enum.name}({base}):")
    yield from _docstring(contracts.comments[enum.full_name])
    for value in enum.values:
        name = value_name(enum, value.name)
        if not numbered and value.number == 0:
            continue  # unspecified values are never sent by name
        yield from ("", f"    {name} = {value.number}" if numbered else f'    {name} = "{name}"')
        yield from _docstring(contracts.comments[f"{enum.full_name}.{value.name}"])


def _docstring(text: str) -> list[str]:
    """A comment of a contract as a docstring one level deep."""
    paragraphs = [textwrap.fill(" ".join(part.split()), WIDTH) for part in text.replace("\\", "\\\\").split("\n\n")]
    body = "\n\n".join(paragraphs)
    if "\n" not in body and len(body) <= WIDTH - 6:
        return [f'    """{body}"""']
    return textwrap.indent(f'"""{body}\n"""', "    ", lambda line: bool(line.strip())).split("\n")


def _names_module(places: dict[str, str]) -> str:
    lines = [
        '"""Where each flat name of ``zegel`` is loaded from. Generated from `protos` and `zegel/errors.py`."""',
        "",
        "from typing import TYPE_CHECKING, Final",
        "",
        "if TYPE_CHECKING:",
    ]
    ordered = sorted(places.items(), key=lambda place: (place[1], place[0]))
    lines += [f"    from {module} import {name} as {name}" for name, module in ordered]
    lines += ["", "PLACES: Final = {"]
    lines += [f'    "{name}": "{module}",' for name, module in places.items()]
    lines += ["}", '"""The module of each name; it is imported when the name is first used."""']
    return "\n".join(lines) + "\n"
