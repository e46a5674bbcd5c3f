"""Reflection (gRPC's protocol for finding out what a server serves), in versions v1 and v1alpha.

The two versions differ in the package's name alone, so one servicer answers both. Invariants:

* Every name in a served contract is known, also that of a method, a field or an enum's value, and so is what travels in
  an error's details. Nothing else of the process is shown.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import grpc
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from zegel.error.v1 import error_reason_pb2
from zegel.event.v1 import event_type_pb2

ALPHA: Final = reflection.SERVICE_NAME
STABLE: Final = "grpc.reflection.v1.ServerReflection"

BESIDE: Final = (
    error_details_pb2.DESCRIPTOR,
    error_reason_pb2.DESCRIPTOR,
    event_type_pb2.DESCRIPTOR,
    reflection_pb2.DESCRIPTOR,
    status_pb2.DESCRIPTOR,
)
"""What a client meets though no service refers to it: the details of errors, and reflection itself."""


class Names:
    """Stands for protobuf's pool where reflection asks it: the pool itself knows no method and no enum's value.

    Args:
        services: Full names of the services that are served.

    Raises:
        KeyError: There is no such service in the process.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._files: dict[str, FileDescriptor] = {}
        for file in (_stable(), *BESIDE):
            self._take(file)
        for service in services:
            if service != STABLE:
                self._take(Default().FindServiceByName(service).file)
        self._names = {name: file for file in self._files.values() for name in _names(file)}

    def _take(self, file: FileDescriptor) -> None:
        if file.name not in self._files:
            self._files[file.name] = file
            for each in file.dependencies:
                self._take(each)

    def FindFileByName(self, file_name: str) -> FileDescriptor:
        """Finds a file by its name; raises ``KeyError``."""
        return self._files[file_name]

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        """Finds the file in which a name is declared; raises ``KeyError``."""
        return self._names[symbol]

    def FindMessageTypeByName(self, full_name: str) -> Descriptor:
        """Finds a message; raises ``KeyError``."""
        return self._names[full_name].pool.FindMessageTypeByName(full_name)

    def FindAllExtensions(self, message_descriptor: Descriptor) -> list[FieldDescriptor]:
        """Finds the extensions of a message that the files here declare."""
        return [
            each
            for each in self._extensions()
            if each.containing_type is not None and each.containing_type.full_name == message_descriptor.full_name
        ]

    def FindExtensionByNumber(self, message_descriptor: Descriptor, number: int) -> FieldDescriptor:
        """Finds one of them by its number; raises ``KeyError``."""
        return {each.number: each for each in self.FindAllExtensions(message_descriptor)}[number]

    def _extensions(self) -> Iterator[FieldDescriptor]:
        for file in self._files.values():
            yield from file.extensions_by_name.values()


def _names(file: FileDescriptor) -> Iterator[str]:
    for service in file.services_by_name.values():
        yield service.full_name
        yield from (method.full_name for method in service.methods)
    for extension in file.extensions_by_name.values():
        yield extension.full_name
    for enum in file.enum_types_by_name.values():
        yield from _enum(enum)
    for message in file.message_types_by_name.values():
        yield from _message(message)


def _message(message: Descriptor) -> Iterator[str]:
    yield message.full_name
    yield from (field.full_name for field in message.fields)
    yield from (oneof.full_name for oneof in message.oneofs)
    for enum in message.enum_types:
        yield from _enum(enum)
    for nested in message.nested_types:
        yield from _message(nested)


def _enum(enum: EnumDescriptor) -> Iterator[str]:
    """The names of an enum: a value's own stands beside its enum, and some clients ask for it within."""
    yield enum.full_name
    around = enum.full_name.rpartition(".")[0]
    for value in enum.values:
        yield f"{around}.{value.name}"
        yield f"{enum.full_name}.{value.name}"


def _stable() -> FileDescriptor:
    """The contract of version v1, made of v1alpha's."""
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    alpha, stable = f".{file.package}.", ".grpc.reflection.v1."
    file.name, file.package = "grpc/reflection/v1/reflection.proto", "grpc.reflection.v1"
    for field in (each for message in file.message_type for each in _fields(message) if each.type_name):
        field.type_name = field.type_name.replace(alpha, stable)
    for method in (each for service in file.service for each in service.method):
        method.input_type = method.input_type.replace(alpha, stable)
        method.output_type = method.output_type.replace(alpha, stable)
    pool = DescriptorPool()
    pool.Add(file)
    return pool.FindFileByName(file.name)


def _fields(message: DescriptorProto) -> Iterator[FieldDescriptorProto]:
    yield from message.field
    for nested in message.nested_type:
        yield from _fields(nested)


def serve(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Serves both versions.

    Args:
        server: The server, not started yet.
        services: Full names of the services that it serves.
    """
    names = [*services, ALPHA, STABLE]
    servicer = ReflectionServicer(names, pool=Names(names))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}) for name in (ALPHA, STABLE))
    )
