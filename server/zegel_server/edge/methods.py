"""What is declared of each method: the permission it requires, the event it records, how long it may take.

Invariants:

* Every method of every service has an entry in ``access.DECLARED``, with a permission: the server does not
  start if one is missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from zegel.event.v1.event_type_pb2 import EventType
from zegel_server.edge.access import DECLARED, Access

UNARY_CAP_S: Final = 30.0
"""The longest a unary call may take, in seconds: by then a client has given up."""

STREAM_CAP_S: Final = 6 * 3600.0
"""The longest a stream may take, in seconds: 4 GiB at 200 KiB a second."""


class ContractError(Exception):
    """A method's contract, or what is declared of it, lacks what the server needs to serve it."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method with what is declared of it.

    Attributes:
        path: ``/package.Service/Method``, as in a request.
        permission: What a caller must hold.
        resources: Path of each field that names a resource, with the resource's kind.
        event: The event that a call records, or 0.
        streams: Whether either side streams.
        cap_s: The longest a call may take, in seconds.
        exchanges: Whether it takes a credential that is exchanged for a session, instead of a session.
    """

    path: str
    permission: str
    resources: tuple[tuple[str, str], ...]
    event: int
    streams: bool
    cap_s: float
    exchanges: bool = False


def read_method(descriptor: MethodDescriptor, declared: Mapping[str, Mapping[str, Access]] = DECLARED) -> Method:
    """Combines a method's contract with what is declared of it.

    Args:
        descriptor: The method.
        declared: What is declared of methods, by the service's full name and the method's name.

    Raises:
        ContractError: It has no entry, or one without a permission; it exchanges and streams; or both sides stream.
    """
    path = f"/{descriptor.containing_service.full_name}/{descriptor.name}"
    access = declared.get(descriptor.containing_service.full_name, {}).get(descriptor.name)
    if access is None or not access.permission:
        message = f"{path} declares no access: no caller could be allowed it"
        raise ContractError(message)
    if descriptor.client_streaming and descriptor.server_streaming:
        message = f"{path} streams both ways, which browsers cannot"
        raise ContractError(message)
    streams = bool(descriptor.client_streaming or descriptor.server_streaming)
    if access.exchanges and streams:
        message = f"{path} exchanges a credential and streams: a spent credential cannot be checked again"
        raise ContractError(message)
    return Method(
        path=path,
        permission=access.permission,
        resources=access.resources,
        event=EventType.Value(f"EVENT_TYPE_{access.records}") if access.records else 0,
        streams=streams,
        cap_s=STREAM_CAP_S if streams else UNARY_CAP_S,
        exchanges=access.exchanges,
    )


def read_contracts(services: Iterable[ServiceDescriptor]) -> Mapping[str, Method]:
    """Reads every method of the services to be served.

    Args:
        services: Their descriptors.

    Returns:
        The methods by their path.

    Raises:
        ContractError: A method declares no access.
    """
    return {method.path: method for service in services for method in (read_method(each) for each in service.methods)}
