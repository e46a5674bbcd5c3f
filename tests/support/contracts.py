"""The contracts, for tests that iterate over them: comments by name, methods, errors, filled messages."""

import json
import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from zegel_server.core import SERVICES

METHODS: list[MethodDescriptor] = [method for service in SERVICES.values() for method in service.methods]
"""Every method of every service."""

NO_SIDE_EFFECTS = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
IDEMPOTENT = descriptor_pb2.MethodOptions.IDEMPOTENT


def path_of(method: MethodDescriptor) -> str:
    """``/package.Service/Method``."""
    return f"/{method.containing_service.full_name}/{method.name}"


class _Comments:
    """Walks through one file, using the field numbers of descriptor.proto that source info paths consist of."""

    def __init__(self, file: descriptor_pb2.FileDescriptorProto) -> None:
        self._file = file
        self._said = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}

    def __iter__(self) -> Iterator[tuple[str, str]]:
        package = self._file.package
        for index, message in enumerate(self._file.message_type):
            yield from self._message(package, (4, index), message)
        for index, enum in enumerate(self._file.enum_type):
            yield from self._enum(package, (5, index), enum)
        for index, service in enumerate(self._file.service):
            yield self._at(f"{package}.{service.name}", (6, index))
            for number, method in enumerate(service.method):
                yield self._at(f"{package}.{service.name}.{method.name}", (6, index, 2, number))
        for index, extension in enumerate(self._file.extension):
            yield self._at(f"{package}.{extension.name}", (7, index))

    def _at(self, name: str, path: tuple[int, ...]) -> tuple[str, str]:
        return name, self._said.get(path, "")

    def _message(
        self, prefix: str, path: tuple[int, ...], message: descriptor_pb2.DescriptorProto
    ) -> Iterator[tuple[str, str]]:
        name = f"{prefix}.{message.name}"
        yield self._at(name, path)
        for index, field in enumerate(message.field):
            yield self._at(f"{name}.{field.name}", (*path, 2, index))
        made = {field.oneof_index for field in message.field if field.proto3_optional}  # by the compiler, unseen
        for index, oneof in enumerate(message.oneof_decl):
            if index not in made:
                yield self._at(f"{name}.{oneof.name}", (*path, 8, index))
        for index, nested in enumerate(message.nested_type):
            yield from self._message(name, (*path, 3, index), nested)
        for index, enum in enumerate(message.enum_type):
            yield from self._enum(name, (*path, 4, index), enum)

    def _enum(
        self, prefix: str, path: tuple[int, ...], enum: descriptor_pb2.EnumDescriptorProto
    ) -> Iterator[tuple[str, str]]:
        yield self._at(f"{prefix}.{enum.name}", path)
        for index, value in enumerate(enum.value):
            yield self._at(f"{prefix}.{enum.name}.{value.name}", (*path, 2, index))


def comments(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Yields every element of a file that is visible in the source, with the comment above it.

    Args:
        file: The file, with its source info.
    """
    return iter(_Comments(file))


def error_of(comment: str) -> tuple[str, dict[str, Any]] | None:
    """Returns the status and the ``ErrorInfo`` that a reason's comment documents.

    Args:
        comment: The comment above the enum's value.
    """
    status = re.search(r"[Ss]tatus\s+`([A-Z_]+)`", comment)
    shown = re.search(r"`(\{.*\})`", comment)
    return (status[1], json.loads(shown[1])) if status and shown else None


def field_at(method: MethodDescriptor, path: str) -> FieldDescriptor | None:
    """Returns the field of a method's request that a path names.

    Args:
        method: The method.
        path: The path, such as ``spec.document_id``.
    """
    message: Any = method.input_type
    field: FieldDescriptor | None = None
    for name in path.replace("[]", "").split("."):
        field = message.fields_by_name.get(name) if message else None
        message = field.message_type if field else None
    return field


def filled(method: MethodDescriptor, text: str, number: int, data: bytes) -> Message:
    """Returns a request in which every field has a value.

    Args:
        method: The request's method.
        text: The value of each string.
        number: The value of each number, limited to what its field can hold.
        data: The value of each bytes field.
    """
    return _filled(GetMessageClass(method.input_type), text, number, data)


def _filled(kind: type[Message], text: str, number: int, data: bytes, depth: int = 0) -> Message:
    message = kind()
    fields: Any = kind.DESCRIPTOR.fields
    for field in fields:
        if field.message_type is not None:
            if depth < 5 and not field.message_type.GetOptions().map_entry:
                value: Any = _filled(GetMessageClass(field.message_type), text, number, data, depth + 1)
                held = getattr(message, field.name)
                held.append(value) if field.is_repeated else held.CopyFrom(value)
            continue
        value = _value(field, text, number, data)
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    return message


_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (0, 2**31 - 1),
}


def _value(field: FieldDescriptor, text: str, number: int, data: bytes) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return data if field.type == FieldDescriptor.TYPE_BYTES else text
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return bool(number)
    if field.cpp_type in _RANGES:
        least, most = _RANGES[field.cpp_type]
        return max(least, min(most, number))
    return float(number)
