"""The contracts as descriptors with their comments, from which the SDK's flat names and the reference are generated.

They are always compiled from ``protos/``, so that a generator never depends on its own earlier output.
"""

import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Final

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_tools import protoc

import own_tree  # noqa: F401 - before what is imported of the tree
from zegel_server.edge.access import DECLARED, Access

ROOT: Final = Path(__file__).resolve().parents[1]
PROTOS: Final = ROOT / "protos"


class GenerationError(Exception):
    """The contracts could not be compiled, or nothing can be generated from them as they are."""


def contract_paths(protos: Path = PROTOS) -> list[str]:
    """Lists the contracts, relative to their folder, sorted.

    Args:
        protos: Their folder.
    """
    return sorted(path.relative_to(protos).as_posix() for path in protos.rglob("*.proto"))


def include_arguments(protos: Path = PROTOS) -> list[str]:
    """The arguments that tell protoc where the contracts and their imports are.

    Args:
        protos: Folder of the contracts.
    """
    packages = Path(sys.prefix, "lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
    folders = (protos, resources.files("grpc_tools") / "_proto", packages)  # google.api's lie beside its modules
    return [f"--proto_path={folder}" for folder in folders]


def run_protoc(arguments: Sequence[str]) -> None:
    """Runs protoc over every contract.

    Args:
        arguments: Further arguments, such as what to write; the import paths are added.

    Raises:
        GenerationError: protoc refused the contracts.
    """
    if protoc.main(["protoc", *include_arguments(), *arguments, *contract_paths()]) != 0:
        raise GenerationError("protoc refused the contracts; its words are above")


@dataclass(frozen=True)
class Contracts:
    """All contracts.

    Attributes:
        files: Descriptors of the contracts and of their imports, with comments.
    """

    files: descriptor_pb2.FileDescriptorSet

    @classmethod
    def compiled(cls) -> "Contracts":
        """Compiles them.

        Raises:
            GenerationError: protoc refused them.
        """
        with tempfile.TemporaryDirectory(prefix="zegel-contracts-") as folder:
            out = Path(folder) / "set"
            run_protoc(["--include_imports", "--include_source_info", f"--descriptor_set_out={out}"])
            return cls(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()))

    @cached_property
    def pool(self) -> DescriptorPool:
        """A descriptor pool with all files."""
        pool = DescriptorPool()
        for file in self.files.file:
            pool.Add(file)
        return pool

    @cached_property
    def own(self) -> list[descriptor_pb2.FileDescriptorProto]:
        """The project's own files, sorted by name."""
        return sorted((file for file in self.files.file if file.name.startswith("zegel/")), key=lambda file: file.name)

    @cached_property
    def services(self) -> list[ServiceDescriptor]:
        """Every service, in the order of the files."""
        names = (f"{file.package}.{each.name}" for file in self.own for each in file.service)
        return [self.pool.FindServiceByName(name) for name in names]

    @cached_property
    def enums(self) -> list[EnumDescriptor]:
        """Every enum, in the order of the files."""
        names = (f"{file.package}.{each.name}" for file in self.own for each in file.enum_type)
        return [self.pool.FindEnumTypeByName(name) for name in names]

    @cached_property
    def messages(self) -> list[Descriptor]:
        """Every message, in the order of the files."""
        names = (f"{file.package}.{each.name}" for file in self.own for each in file.message_type)
        return [self.pool.FindMessageTypeByName(name) for name in names]

    @cached_property
    def spoken(self) -> list[Descriptor]:
        """The messages that can occur in a call: requests, responses and all messages nested in them, by full name."""
        found: dict[str, Descriptor] = {}
        left = [each for method in self.methods for each in (method.input_type, method.output_type)]
        while left:
            message = left.pop()
            if message.full_name not in found:
                found[message.full_name] = message
                left += [field.message_type for field in message.fields if field.message_type]
        return [found[name] for name in sorted(found)]

    @cached_property
    def methods(self) -> list[MethodDescriptor]:
        """Every method, service by service."""
        return [method for service in self.services for method in service.methods]

    def access(self, method: MethodDescriptor) -> Access:
        """The permission that a method requires, and the event that it records.

        Args:
            method: The method.

        Raises:
            GenerationError: The access table has no entry for the method.
        """
        found = DECLARED.get(method.containing_service.full_name, {}).get(method.name)
        if found is None:
            raise GenerationError(f"{method.full_name} has no entry in server/zegel_server/edge/access.py")
        return found

    def permission(self, method: MethodDescriptor) -> str:
        """The permission that a method requires, such as ``document.read``."""
        return self.access(method).permission

    @cached_property
    def comments(self) -> dict[str, str]:
        """The comment of every element, by full name; the full name of an enum's value contains the enum's."""
        return {name: comment for file in self.own for name, comment in _comments(file)}

    def held_enums(self) -> set[str]:
        """Full names of the enums that are the type of a field."""
        types = (field.enum_type for message in self.messages for field in message.fields)
        return {each.full_name for each in types if each is not None}


def value_name(enum: EnumDescriptor, name: str) -> str:
    """The name of an enum's value without the enum's prefix: ``SIGNATURE`` for ``FIELD_TYPE_SIGNATURE``.

    Args:
        enum: The enum.
        name: The value's name in the contract.

    Raises:
        GenerationError: It does not begin with the enum's name.
    """
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
    short = name.removeprefix(prefix)
    if short == name or not short.isidentifier():
        raise GenerationError(f"{enum.full_name}: {name} has to begin with {prefix}, and go on as a name")
    return short


def _comments(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, str]]:
    told = {
        tuple(each.path): "\n".join(line.removeprefix(" ") for line in each.leading_comments.rstrip("\n").split("\n"))
        for each in file.source_code_info.location
    }
    for number, message in enumerate(file.message_type):
        name = f"{file.package}.{message.name}"
        yield name, told.get((4, number), "")
        for inner, field in enumerate(message.field):
            yield f"{name}.{field.name}", told.get((4, number, 2, inner), "")
    for number, enum in enumerate(file.enum_type):
        name = f"{file.package}.{enum.name}"
        yield name, told.get((5, number), "")
        for inner, value in enumerate(enum.value):
            yield f"{name}.{value.name}", told.get((5, number, 2, inner), "")
    for number, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        yield name, told.get((6, number), "")
        for inner, method in enumerate(service.method):
            yield f"{name}.{method.name}", told.get((6, number, 2, inner), "")
