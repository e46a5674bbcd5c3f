"""What the contracts say of each method: the permission it demands, the event it leaves, how long it may take.

Invariants:

* Every method of every service has an access option with a permission: a server that finds one without does not start.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from zegel.event.v1 import event_type_pb2
from zegel.permission.v1 import access_pb2

UNARY_CAP_S: Final = 30.0
"""The longest a unary call may take: beyond it a client has given up."""

STREAM_CAP_S: Final = 6 * 3600.0
"""The longest a stream may take: 4 GiB at 200 KiB a second."""


class ContractError(Exception):
    """The contracts lack what the server needs to serve them."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method as its contract has it.

    Attributes:
        path: ``/package.Service/Method``, as it stands in a request.
        permission: What a caller must hold.
        resources: Path of each field that names a resource, with the resource's kind.
        event: The event that a call leaves, or 0.
        streams: Whether either side streams.
        cap_s: The longest a call may take, in seconds.
        exchanges: Whether it takes what is exchanged for a session, and nothing else.
    """

    path: str
    permission: str
    resources: tuple[tuple[str, str], ...]
    event: int
    streams: bool
    cap_s: float
    exchanges: bool = False


def read_method(descriptor: MethodDescriptor) -> Method:
    """Reads one method's options.

    Args:
        descriptor: The method.

    Raises:
        ContractError: It has no access option, one without a permission, or a stream that exchanges; or both sides
            stream.
    """
    options = descriptor.GetOptions()
    path = f"/{descriptor.containing_service.full_name}/{descriptor.name}"
    access = options.Extensions[access_pb2.access]
    if not access.permission:
        message = f"{path} declares no access: no caller could be allowed it"
        raise ContractError(message)
    exchanges = access.credential == access_pb2.CREDENTIAL_EXCHANGE
    if descriptor.client_streaming and descriptor.server_streaming:
        message = f"{path} streams both ways, which browsers cannot"
        raise ContractError(message)
    streams = bool(descriptor.client_streaming or descriptor.server_streaming)
    if exchanges and streams:
        message = f"{path} exchanges a credential and streams: what was spent cannot be decided again"
        raise ContractError(message)
    return Method(
        path=path,
        permission=access.permission,
        resources=tuple((resource.path, resource.kind) for resource in access.resources),
        event=options.Extensions[event_type_pb2.records],
        streams=streams,
        cap_s=STREAM_CAP_S if streams else UNARY_CAP_S,
        exchanges=exchanges,
    )


def read_contracts(services: Iterable[ServiceDescriptor]) -> Mapping[str, Method]:
    """Reads every method of the services that are to be served.

    Args:
        services: Their descriptors.

    Returns:
        The methods by their path.

    Raises:
        ContractError: A method declares no access.
    """
    return {method.path: method for service in services for method in (read_method(each) for each in service.methods)}
