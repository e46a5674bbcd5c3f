"""What the generated methods of both clients stand on: the request is made from the arguments, and called.

Invariants:

* A value that a request does not take is refused before anything is sent, by an error that names the argument and
  never shows the value.
* A ``datetime`` without a time zone is refused: protobuf would take it for UTC, whatever its author meant.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from zegel._internal.port import drive
from zegel._internal.ports import AioPort, SyncPort
from zegel._internal.streams import AioPages, AioStream, Pages, Stream

RequestT = TypeVar("RequestT", bound=Message)
AnswerT = TypeVar("AnswerT", bound=Message)
ItemT = TypeVar("ItemT")


class SyncService:
    """A service whose methods block."""

    def __init__(self, port: SyncPort) -> None:
        self._port: Final = port

    def _unary(self, request: type[Message], answer: type[AnswerT], /, **fields: Any) -> AnswerT:
        return drive(self._port.unary(request_of(request, fields), answer))

    def _paged(
        self,
        request: type[Message],
        answer: type[AnswerT],
        items: Callable[[AnswerT], Iterable[ItemT]],
        /,
        **fields: Any,
    ) -> Pages[AnswerT, ItemT]:
        return Pages(self._port, request_of(request, fields), answer, items)

    def _streamed(self, request: type[Message], answer: type[AnswerT], /, **fields: Any) -> Stream[AnswerT]:
        return Stream(self._port.receive(request_of(request, fields), answer))


class AioService:
    """A service whose methods are coroutines."""

    def __init__(self, port: AioPort) -> None:
        self._port: Final = port

    async def _unary(self, request: type[Message], answer: type[AnswerT], /, **fields: Any) -> AnswerT:
        return await self._port.unary(request_of(request, fields), answer)

    def _paged(
        self,
        request: type[Message],
        answer: type[AnswerT],
        items: Callable[[AnswerT], Iterable[ItemT]],
        /,
        **fields: Any,
    ) -> AioPages[AnswerT, ItemT]:
        return AioPages(self._port, request_of(request, fields), answer, items)

    def _streamed(self, request: type[Message], answer: type[AnswerT], /, **fields: Any) -> AioStream[AnswerT]:
        return AioStream(self._port.receive(request_of(request, fields), answer))


def request_of(kind: type[RequestT], fields: Mapping[str, Any]) -> RequestT:
    """Makes a request from a method's arguments.

    Args:
        kind: The generated class of the request.
        fields: The arguments, by name.

    Raises:
        TypeError: An argument is of another type than the field takes.
        ValueError: A ``datetime`` has no time zone, a number is out of range, or a text is no Unicode.
    """
    for name, value in fields.items():
        _refuse_naive(name, value)
    try:
        return kind(**{name: _with_mask(kind, name, value) for name, value in fields.items()})
    except (TypeError, ValueError):
        for name, value in fields.items():
            _try(kind, name, value)
        raise


def _with_mask(kind: type[Message], name: str, value: object) -> object:
    """A value as protobuf takes it: names of fields as a mask."""
    if isinstance(value, list | tuple) and name in kind.DESCRIPTOR.fields_by_name:
        field = kind.DESCRIPTOR.fields_by_name[name]
        if field.message_type is FieldMask.DESCRIPTOR and not field.is_repeated:
            return FieldMask(paths=value)
    return value


def _refuse_naive(name: str, value: object) -> None:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError(f"{name}: a datetime without a time zone; give it one, as in datetime.now(UTC)")
    elif isinstance(value, Mapping):  # protobuf takes one for a message
        for key, inner in value.items():
            _refuse_naive(f"{name}.{key}", inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_naive(name, inner)


def _try(kind: type[Message], name: str, value: object) -> None:
    """Raises what protobuf has against an argument, under its name: protobuf names none."""
    try:
        kind(**{name: _with_mask(kind, name, value)})
    except TypeError:
        raise TypeError(f"{name}: takes {_taken(kind.DESCRIPTOR.fields_by_name[name])}, not {_shown(value)}") from None
    except ValueError as error:
        reason = "not valid Unicode" if isinstance(error, UnicodeError) else str(error)
        raise ValueError(f"{name}: {reason}") from None


_SCALARS: Final = {
    FieldDescriptor.CPPTYPE_STRING: "str",
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_DOUBLE: "float",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
}

_OWN: Final = {
    "Timestamp": "datetime or Timestamp",
    "Duration": "timedelta or Duration",
    "FieldMask": "list of names or FieldMask",
}


def _taken(field: Any) -> str:
    """What a field takes, in a person's words."""
    if field.message_type is not None:
        kind = _OWN.get(field.message_type.name, field.message_type.name)
    elif field.enum_type is not None:
        kind = field.enum_type.name
    elif field.type == FieldDescriptor.TYPE_BYTES:
        kind = "bytes"
    else:
        kind = _SCALARS.get(field.cpp_type, "int")
    return f"an iterable of {kind}" if field.is_repeated else kind


def _shown(value: object) -> str:
    """The type of a value, with those of its items."""
    name = type(value).__name__
    if isinstance(value, list | tuple | set | frozenset):
        return f"{name} of {', '.join(sorted({type(each).__name__ for each in value}))}"
    return name
