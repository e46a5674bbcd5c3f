"""Writes the SDK's list of services and its methods from the contracts.

It writes two modules: ``zegel/_services.py`` has every service with its generated classes, for the SDK, the server and
the tests; ``zegel/_internal/methods.py`` has the methods that a client's classes inherit.
``scripts/generate_protos.py`` runs this.

Invariants:

* Every method of the contracts is among them, except the ``TRANSFERS``.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor

from contracts import Contracts, GenerationError

SERVICES: Final = Path("zegel/_services.py")
METHODS: Final = Path("zegel/_internal/methods.py")

TRANSFERS: Final = {"UploadDocument": "documents.upload", "DownloadDocument": "documents.download"}
"""Methods whose streams need more than a thin wrapper, and what the SDK has instead."""


def write_services(target: Path, contracts: Contracts) -> None:
    """Writes both modules.

    Args:
        target: Folder that has ``zegel/``.
        contracts: The contracts.

    Raises:
        GenerationError: The SDK cannot generate a method of this kind.
    """
    (target / METHODS).parent.mkdir(exist_ok=True)
    (target / SERVICES).write_text(services_module(contracts), encoding="utf-8")
    (target / METHODS).write_text(methods_module(contracts), encoding="utf-8")


def services_module(contracts: Contracts) -> str:
    """Returns the source of the list of services.

    Args:
        contracts: The contracts.
    """
    return "\n".join(_service_lines(contracts)) + "\n"


def methods_module(contracts: Contracts) -> str:
    """Returns the source of the services' methods.

    Args:
        contracts: The contracts.

    Raises:
        GenerationError: The SDK cannot generate a method of this kind.
    """
    return "\n".join(_method_lines(contracts)) + "\n"


def _service_lines(contracts: Contracts) -> Iterator[str]:
    yield from (
        '"""Every service of the contracts, with its generated classes. Generated from `protos`."""',
        "",
        "from typing import Any, Final, NamedTuple",
        "",
        "from google.protobuf.descriptor import ServiceDescriptor",
        "",
    )
    files = {_module_of(service): None for service in contracts.services}
    for module in files:
        package, _, name = module.rpartition(".")
        yield f"from {package} import {name}, {name}_grpc"
    yield from (
        "",
        "",
        "class Service(NamedTuple):",
        '    """A service.',
        "",
        "    Attributes:",
        "        descriptor: Its descriptor.",
        "        stub: The class that calls it over a channel.",
        "        servicer: The class that what serves it derives from.",
        "        add_to_server: Adds what serves it to a gRPC server.",
        '    """',
        "",
        "    descriptor: ServiceDescriptor",
        "    stub: Any",
        "    servicer: Any",
        "    add_to_server: Any",
        "",
        "",
        "SERVICES: Final = (",
    )
    for service in contracts.services:
        messages = _module_of(service).rpartition(".")[2]
        calls = f"{messages}_grpc"
        yield from (
            "    Service(",
            f'        {messages}.DESCRIPTOR.services_by_name["{service.name}"],',
            f"        {calls}.{service.name}Stub,",
            f"        {calls}.{service.name}Servicer,",
            f"        {calls}.add_{service.name}Servicer_to_server,",
            "    ),",
        )
    yield from (")", '"""Every service, in the order of the contracts\' files."""')


def _method_lines(contracts: Contracts) -> Iterator[str]:
    methods = [method for method in contracts.methods if method.name not in TRANSFERS]
    kinds = {method.full_name: _declared(method) for method in methods}
    left_out = " and ".join(f"``{name}``" for name in TRANSFERS)
    yield from (
        '"""The methods of each service, for a client\'s classes to inherit. Generated from `protos`.',
        "",
        f"Left out are {left_out}: their streams need more than a thin method.",
        '"""',
        "",
        f"from zegel._internal.surface import {', '.join(sorted({kind.partition('(')[0] for kind in kinds.values()}))}",
    )
    modules = {_module_of(each) for method in methods for each in (method.input_type, method.output_type)}
    for module in sorted(modules):
        package, _, name = module.rpartition(".")
        yield f"from {package} import {name}"
    for service in contracts.services:
        yield from ("", "", f"class {service.name.removesuffix('Service')}Methods:")
        yield from (f'    """Those of ``{service.full_name}``."""', "")
        yield from (
            f"    {snake_case(method.name)} = {kinds[method.full_name]}"
            for method in service.methods
            if method.full_name in kinds
        )


def _declared(method: MethodDescriptor) -> str:
    """Returns the declaration of a method, in terms of ``surface``.

    Raises:
        GenerationError: The client streams, or a page has no list or more than one.
    """
    classes = ", ".join(f"{_module_of(each).rpartition('.')[2]}.{each.name}" for each in _both(method))
    if method.client_streaming:
        raise GenerationError(f"{method.full_name} streams from the client: write it by hand, and say so in TRANSFERS")
    if method.server_streaming:
        return f"Streamed({classes})"
    if "next_page_token" not in method.output_type.fields_by_name:
        return f"Unary({classes})"
    lists = [each.name for each in method.output_type.fields if _is_list(each)]
    if len(lists) != 1:
        raise GenerationError(f"{method.output_type.full_name} has to have one list, the page's items")
    return f"Paged({classes}, lambda page: page.{lists[0]})"


def _both(method: MethodDescriptor) -> tuple[Descriptor, Descriptor]:
    return method.input_type, method.output_type


def _is_list(field: FieldDescriptor) -> bool:
    return field.is_repeated and field.message_type is not None


def snake_case(name: str) -> str:
    """Returns a method's Python name: ``get_tenant`` for ``GetTenant``.

    Args:
        name: Its name in the contract.
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _module_of(described: ServiceDescriptor | Descriptor) -> str:
    return str(described.file.name).removesuffix(".proto").replace("/", ".") + "_pb2"
