"""Writes the methods of the SDK's services from the contracts, for the synchronous and the asyncio client.

A method is an ordinary Python method: its arguments are the fields of its request, typed, required where the contract
says so, and its docstring is the contract's own comments. Editors, ``help()``, ``inspect.signature`` and type checkers
therefore show a contract without knowing of it. ``scripts/generate_protos.py`` runs this.

Invariants:

* Every method of the contracts is among them, except the ``TRANSFERS``.
* Leaving out an argument is the same as not setting the field.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor

from contracts import Contracts, GenerationError, value_name

TRANSFERS: Final = {"UploadDocument": "documents.upload", "DownloadDocument": "documents.download"}
"""Methods whose streams need more than a thin wrapper, and what the SDK has instead."""

WIDTH: Final = 109
"""Maximum columns of a docstring's text within a method."""

LINE: Final = 120
"""Maximum columns of a line of code."""

SCALARS: Final = {
    FieldDescriptor.CPPTYPE_STRING: ("str", '""'),
    FieldDescriptor.CPPTYPE_BOOL: ("bool", "False"),
    FieldDescriptor.CPPTYPE_DOUBLE: ("float", "0.0"),
    FieldDescriptor.CPPTYPE_FLOAT: ("float", "0.0"),
    **dict.fromkeys(
        (
            FieldDescriptor.CPPTYPE_INT32,
            FieldDescriptor.CPPTYPE_INT64,
            FieldDescriptor.CPPTYPE_UINT32,
            FieldDescriptor.CPPTYPE_UINT64,
        ),
        ("int", "0"),
    ),
}
"""The Python type of a scalar field, and what stands for a field that is not set."""

ALSO: Final = {
    "google.protobuf.Timestamp": "datetime | Timestamp",
    "google.protobuf.Duration": "timedelta | Duration",
    "google.protobuf.FieldMask": "list[str] | tuple[str, ...] | FieldMask",  # no Iterable: a text is one of letters
}
"""Messages that a value of Python's own may stand for."""


@dataclass(frozen=True, slots=True)
class Client:
    """One of the two clients, as its methods are written.

    Attributes:
        path: The module to write.
        base: The class that its services derive from.
        pages: What a method that lists returns.
        stream: What a method that streams returns.
        define: How a unary method begins.
        call: How a unary method calls the base's.
        about: What the module's docstring says.
    """

    path: Path
    base: str
    pages: str
    stream: str
    define: str
    call: str
    about: str


CLIENTS: Final = (
    Client(
        Path("zegel/_internal/methods.py"),
        "SyncService",
        "Pages",
        "Stream",
        "def",
        "return self._unary",
        "for the synchronous client's classes to inherit",
    ),
    Client(
        Path("zegel/_internal/aio_methods.py"),
        "AioService",
        "AioPages",
        "AioStream",
        "async def",
        "return await self._unary",
        "for the asyncio client's classes to inherit",
    ),
)
"""Both clients."""


def write_methods(target: Path, contracts: Contracts) -> None:
    """Writes both modules.

    Args:
        target: Folder that has ``zegel/``.
        contracts: The contracts.

    Raises:
        GenerationError: The SDK cannot generate a method of this kind.
    """
    for client in CLIENTS:
        path = target / client.path
        path.parent.mkdir(exist_ok=True)
        path.write_text(methods_module(contracts, client), encoding="utf-8")


def methods_module(contracts: Contracts, client: Client) -> str:
    """Returns the source of the services' methods.

    Args:
        contracts: The contracts.
        client: The client that has them.

    Raises:
        GenerationError: The SDK cannot generate a method of this kind.
    """
    body: list[str] = []
    for service in contracts.services:
        body += ["", "", f"class {service.name.removesuffix('Service')}Methods({client.base}):"]
        body += [f'    """Those of ``{service.full_name}``."""']
        for method in service.methods:
            if method.name not in TRANSFERS:
                body += ["", *_method(contracts, client, method)]
    left_out = " and ".join(f"``{name}``" for name in TRANSFERS)
    head = [
        f'"""The methods of each service, {client.about}. Generated from `protos`.',
        "",
        f"Left out are {left_out}: their streams need more than a thin method.",
        '"""',
        "",
        *_imports(contracts, client, "\n".join(body)),
    ]
    return "\n".join(head + body) + "\n"


def _imports(contracts: Contracts, client: Client, body: str) -> Iterator[str]:
    """Imports of the names that occur in the code, not in a comment of the contracts."""
    used = set(re.findall(r"\b[A-Za-z_]\w*\b", re.sub(r'"""(?:.|\n)*?"""', "", body)))
    yield from _import("collections.abc", used & {"Iterable"})
    yield from _import("datetime", used & {"datetime", "timedelta"})
    yield ""
    held: dict[str, set[str]] = {}
    for message in contracts.spoken:
        held.setdefault(module_of(message), set()).add(message.name)
    for enum in contracts.enums:
        held.setdefault(module_of(enum), set()).add(enum.name)
    places = {module: names & used for module, names in held.items()}
    for module in sorted(each for each in places if each.startswith("google.")):
        yield from _import(module, places[module])
    yield ""
    if "enums" in used:
        yield "from zegel import enums"
    yield from _import("zegel._internal.streams", used & {client.pages, client.stream})
    yield from _import("zegel._internal.surface", {client.base})
    for module in sorted(each for each in places if not each.startswith("google.")):
        yield from _import(module, places[module])


def _import(module: str, names: set[str]) -> Iterator[str]:
    if names:
        line = f"from {module} import {', '.join(sorted(names))}"
        if len(line) <= LINE:
            yield line
        else:
            yield from _listed(f"from {module} import (", sorted(names), ")")


def _listed(before: str, items: Sequence[str], after: str) -> Iterator[str]:
    """Code with a list in brackets: on one line, or an item on each, so that a traceback shows a line of it."""
    line = f"{before}{', '.join(items)}{after}"
    if len(line) <= LINE:
        yield line
        return
    indent = " " * (len(before) - len(before.lstrip()))
    yield before
    yield from (f"{indent}    {item}," for item in items)
    yield f"{indent}{after}"


def _method(contracts: Contracts, client: Client, method: MethodDescriptor) -> Iterator[str]:
    request, answer = method.input_type, method.output_type
    classes = f"{request.name}, {answer.name}"
    items = _items(method)
    if method.server_streaming:
        define, returned, call = "def", f"{client.stream}[{answer.name}]", f"return self._streamed({classes}"
    elif items is not None:
        define, returned = "def", f"{client.pages}[{answer.name}, {_held(items)}]"
        call = f"return self._paged({classes}, lambda page: page.{items.name}"
    else:
        define, returned, call = client.define, answer.name, f"{client.call}({classes}"
    arguments = [_argument(field) for field in request.fields]
    shown = ["self", "*", *arguments] if arguments else ["self"]
    yield from _listed(f"    {define} {snake_case(method.name)}(", shown, f") -> {returned}:")
    yield from _docstring(_told(contracts, method, items))
    head, _, given = call.partition("(")
    yield from _listed(
        f"        {head}(", [*given.split(", "), *(f"{field.name}={field.name}" for field in request.fields)], ")"
    )


def _items(method: MethodDescriptor) -> FieldDescriptor | None:
    """The field with the items of a page, of a method that lists.

    Raises:
        GenerationError: The client streams, or a page has no list or more than one.
    """
    if method.client_streaming:
        raise GenerationError(f"{method.full_name} streams from the client: write it by hand, and say so in TRANSFERS")
    if "next_page_token" not in method.output_type.fields_by_name:
        return None
    lists = [each for each in method.output_type.fields if each.is_repeated and each.message_type is not None]
    if len(lists) != 1:
        raise GenerationError(f"{method.output_type.full_name} has to have one list, the page's items")
    return lists[0]


def is_required(field: FieldDescriptor) -> bool:
    """Whether the contract says that the field has to be set: ``google.api.field_behavior``.

    Args:
        field: A field of a request.
    """
    told = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    return field_behavior_pb2.REQUIRED in told


def _argument(field: FieldDescriptor) -> str:
    kind, unset = _type(field)
    if is_required(field):
        return f"{field.name}: {kind.removesuffix(' | None')}"
    return f"{field.name}: {kind} = {unset}"


def _type(field: FieldDescriptor) -> tuple[str, str]:
    """The type of an argument, and what stands for one that is not given."""
    if field.message_type is not None:
        kind, unset = ALSO.get(field.message_type.full_name, _held(field)), "None"
    elif field.enum_type is not None:
        name = field.enum_type.name
        kind = f"enums.{name} | {name}.ValueType"
        unset = f"enums.{name}.{value_name(field.enum_type, field.enum_type.values_by_number[0].name)}"
    elif field.type == FieldDescriptor.TYPE_BYTES:
        kind, unset = "bytes", 'b""'
    else:
        kind, unset = SCALARS[field.cpp_type]
    if field.is_repeated:
        return f"Iterable[{kind}]", "()"
    return (f"{kind} | None", "None") if field.has_presence else (kind, unset)


def _held(field: FieldDescriptor) -> str:
    """The class of the message that a field holds."""
    return field.message_type.name if field.message_type is not None else ""


def _told(contracts: Contracts, method: MethodDescriptor, items: FieldDescriptor | None) -> list[str]:
    """The lines of a method's docstring: the contract's comments on the method, its request and its response."""
    lines = _wrapped(contracts.comments[method.full_name])
    if method.input_type.fields:
        lines += ["", "Args:"]
        for field in method.input_type.fields:
            lines += _item(f"{field.name}: ", contracts.comments[field.full_name], 4)
    lines += ["", "Returns:"]
    if items is not None:
        lines += _item(
            "",
            f"The items of all pages, which are requested as needed; `.pages()` has the responses. "
            f"{contracts.comments[items.full_name]}",
            4,
        )
    elif not method.output_type.fields:
        lines += ["    An empty response."]
    else:
        lines += [
            f"    {'A stream of responses' if method.server_streaming else 'The response'}, with these fields:",
            "",
        ]
        for field in method.output_type.fields:
            lines += _item(f"* {field.name}: ", contracts.comments[field.full_name], 4)
    return lines


def _item(name: str, text: str, indent: int) -> list[str]:
    return textwrap.wrap(
        name + " ".join(text.split()),
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + (2 if name.startswith("*") else 4 if name else 0)),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _wrapped(comment: str) -> list[str]:
    """A comment's lines, filled anew: paragraphs, and the items of a list."""
    lines: list[str] = []
    for part in comment.split("\n\n"):
        lines += [""] if lines else []
        for chunk in re.split(r"\n(?=\* )", part):
            indent = "  " if chunk.startswith("* ") else ""
            lines += textwrap.wrap(
                " ".join(chunk.split()),
                WIDTH,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
    return lines


def _docstring(lines: list[str]) -> Iterator[str]:
    text = "\n".join(lines).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    yield from textwrap.indent(f'"""{text}\n"""', "        ", lambda line: bool(line.strip())).split("\n")


def snake_case(name: str) -> str:
    """Returns a method's Python name: ``get_tenant`` for ``GetTenant``.

    Args:
        name: Its name in the contract.
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def module_of(described: ServiceDescriptor | Descriptor | EnumDescriptor) -> str:
    """Returns the generated module of a service, a message or an enum.

    Args:
        described: Its descriptor.
    """
    return str(described.file.name).removesuffix(".proto").replace("/", ".") + "_pb2"
