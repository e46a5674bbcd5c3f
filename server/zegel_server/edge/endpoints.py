"""Each method with whatever serves it, and how its messages become bytes: all that an adapter needs to offer it.

Invariants:

* A method without a contract is not offered; a service whose servicer lacks a method keeps the server from starting.
* A servicer is given a message, or an iterator of them, and nothing of the transport: it answers or raises. Who calls
  is ``caller.current_caller``.
"""

from collections.abc import Callable, Iterator, Mapping
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
        serve = getattr(servicer, descriptor.name, None)
        if serve is None or serve.__module__.endswith("_pb2_grpc"):  # the generated class has one that does nothing
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
