"""Writes the SDK's list of services from the contracts.

``zegel/_services.py`` has every service with its generated classes, for the SDK, the server and the tests.
``scripts/generate_protos.py`` runs this.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from contracts import Contracts
from methods import module_of

SERVICES: Final = Path("zegel/_services.py")


def write_services(target: Path, contracts: Contracts) -> None:
    """Writes the module.

    Args:
        target: Folder that has ``zegel/``.
        contracts: The contracts.
    """
    (target / SERVICES).write_text(services_module(contracts), encoding="utf-8")


def services_module(contracts: Contracts) -> str:
    """Returns the source of the list of services.

    Args:
        contracts: The contracts.
    """
    return "\n".join(_service_lines(contracts)) + "\n"


def _service_lines(contracts: Contracts) -> Iterator[str]:
    yield from (
        '"""Every service of the contracts, with its generated classes. Generated from `protos`."""',
        "",
        "from typing import Any, Final, NamedTuple",
        "",
        "from google.protobuf.descriptor import ServiceDescriptor",
        "",
    )
    files = {module_of(service): None for service in contracts.services}
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
        messages = module_of(service).rpartition(".")[2]
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
