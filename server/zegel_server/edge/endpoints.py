"""Each method with its servicer and its codec: all that an adapter needs to offer it.

Invariants:

* A method without a contract is not offered; the server does not start if a service has no servicer, or a servicer
  lacks a method.
* A servicer is given a message, or an iterator of messages, and nothing of the transport: it answers or raises.
  ``caller.current_caller`` says who calls.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from zegel_server.edge.methods import ContractError, Method
from zegel_server.edge.wire import Parse, Serialise


class Codec(NamedTuple):
    """How a method's messages become bytes and back, if not as in Protocol Buffers.

    Attributes:
        parse: Makes what its servicer receives; ``None`` for the contract's message.
        serialise: Makes bytes from what its servicer answers; ``None`` for the contract's message.
    """

    parse: Parse | None = None
    serialise: Serialise | None = None


NO_CODECS: Final[Mapping[str, Codec]] = MappingProxyType({})
"""The codecs of nearly every service: none."""


class Served(NamedTuple):
    """A service with its servicer, whose generated base class says which service it is.

    Attributes:
        servicer: Its servicer.
        codecs: Codecs of the methods that have their own, by name.
    """

    servicer: object
    codecs: Mapping[str, Codec] = NO_CODECS


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method that is offered.

    Attributes:
        method: Its contract.
        serve: The servicer's method. Its second argument, the context in gRPC's generated classes, is ``None``.
        parse: Makes a message from a request's bytes.
        serialise: Makes bytes from an answer.
        client_streams: Whether the client sends any number of messages.
        server_streams: Whether the server does.
    """

    method: Method
    serve: Callable[[Any, None], Any]
    parse: Parse
    serialise: Serialise
    client_streams: bool
    server_streams: bool


def endpoints_of(
    service: ServiceDescriptor,
    servicer: object,
    methods: Mapping[str, Method],
    codecs: Mapping[str, Codec] = NO_CODECS,
) -> Iterator[Endpoint]:
    """The endpoints of a service.

    Args:
        service: Its descriptor.
        servicer: Has a method of the same name for each of the contract's.
        methods: The contracts, by path.
        codecs: Codecs of the methods that have their own, by name.

    Raises:
        ContractError: The servicer lacks a method.
    """
    for descriptor in service.methods:
        method = methods.get(f"/{service.full_name}/{descriptor.name}")
        if method is None:
            continue
        serve = _serving(servicer, descriptor.name)
        if serve is None:
            message = f"{method.path} has no servicer"
            raise ContractError(message)
        codec = codecs.get(descriptor.name, Codec())
        yield Endpoint(
            method=method,
            serve=serve,
            parse=codec.parse or GetMessageClass(descriptor.input_type).FromString,
            serialise=codec.serialise or GetMessageClass(descriptor.output_type).SerializeToString,
            client_streams=descriptor.client_streaming,
            server_streams=descriptor.server_streaming,
        )


def endpoints_by_service(
    services: Mapping[type, ServiceDescriptor], served: Sequence[Served], methods: Mapping[str, Method]
) -> Mapping[str, Sequence[Endpoint]]:
    """The endpoints of a server: every method of every service.

    Args:
        services: Every service of the contracts, by the generated class that its servicer derives from.
        served: Their servicers.
        methods: The contracts, by path.

    Returns:
        The endpoints by the service's full name.

    Raises:
        ContractError: A service has no servicer or two, or a servicer lacks a method; the message names all.
    """
    found: dict[str, list[Served]] = {service.full_name: [] for service in services.values()}
    for each in served:
        for base, service in services.items():
            if isinstance(each.servicer, base):
                found[service.full_name].append(each)
    wrong = [f"{name} has {len(its) or 'no'} servicer{'s' * bool(its)}" for name, its in found.items() if len(its) != 1]
    wrong += [
        f"{type(found[service.full_name][0].servicer).__name__} lacks {method.name} of {service.full_name}"
        for service in services.values()
        for method in service.methods
        if len(found[service.full_name]) == 1 and _serving(found[service.full_name][0].servicer, method.name) is None
    ]
    if wrong:
        raise ContractError("; ".join(wrong))
    return {
        service.full_name: list(endpoints_of(service, each.servicer, methods, each.codecs))
        for service in services.values()
        for each in found[service.full_name]
    }


def _serving(servicer: object, name: str) -> Callable[[Any, None], Any] | None:
    """The servicer's own method, if it has one; that of the generated class does nothing."""
    serve: Callable[[Any, None], Any] | None = getattr(servicer, name, None)
    return None if serve is None or serve.__module__.endswith("_pb2_grpc") else serve
