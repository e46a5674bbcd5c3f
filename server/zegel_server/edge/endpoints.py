"""Each method with whatever serves it, and how its messages become bytes: all that an adapter needs to offer it.

Invariants:

* A method without a contract is not offered; a service without a servicer, or a servicer that lacks a method, keeps the
  server from starting.
* A servicer is given a message, or an iterator of them, and nothing of the transport: it answers or raises. Who calls
  is ``caller.current_caller``.
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
    """How a method's messages become bytes, where it is not as Protocol Buffers do it.

    Attributes:
        parse: Makes what its servicer is given; ``None`` for the contract's message.
        serialise: Makes bytes of what its servicer answers; ``None`` for the contract's message.
    """

    parse: Parse | None = None
    serialise: Serialise | None = None


NO_CODECS: Final[Mapping[str, Codec]] = MappingProxyType({})
"""What nearly every service has."""


class Served(NamedTuple):
    """A service as a server has it. The servicer says by its generated base class which service it is.

    Attributes:
        servicer: What serves it.
        codecs: Of the methods that have one of their own, by name.
    """

    servicer: object
    codecs: Mapping[str, Codec] = NO_CODECS


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method that is offered.

    Attributes:
        method: Its contract.
        serve: The servicer's method. Its second argument is where gRPC's generated classes have a context: ``None``.
        parse: Makes a message of a request's bytes.
        serialise: Makes bytes of an answer.
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
    """What a service offers.

    Args:
        service: Its descriptor.
        servicer: Has a method of the contract's name for each.
        methods: The contracts, by path.
        codecs: Of the methods that have one of their own, by name.

    Raises:
        ContractError: The servicer lacks a method.
    """
    for descriptor in service.methods:
        method = methods.get(f"/{service.full_name}/{descriptor.name}")
        if method is None:
            continue
        serve = _serving(servicer, descriptor.name)
        if serve is None:
            message = f"{method.path} has nothing that serves it"
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
    """What a server offers: every method of every service.

    Args:
        services: Every service of the contracts, by the generated class that its servicer derives from.
        served: What serves them.
        methods: The contracts, by path.

    Returns:
        The endpoints by the service's full name.

    Raises:
        ContractError: A service or a method has nothing that serves it, or a service has two; the message names all.
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
    """What serves a method; the generated class has one that does nothing."""
    serve: Callable[[Any, None], Any] | None = getattr(servicer, name, None)
    return None if serve is None or serve.__module__.endswith("_pb2_grpc") else serve
