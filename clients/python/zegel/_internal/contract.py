"""What the contracts declare for each method, from the generated descriptors: what may be retried, what is idempotent.

Invariants:

* gRPC retries only methods declared ``NO_SIDE_EFFECTS`` or ``IDEMPOTENT``.
* A method is identified by its request: each has its own message (buf's ``RPC_REQUEST_RESPONSE_UNIQUE``).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from zegel._services import SERVICES, Service

UNARY_TIMEOUT_S: Final = 30.0
"""Default deadline of a unary call, its retries included: the longest that a server allows."""

STREAM_TIMEOUT_S: Final = 6 * 3600.0
"""Default deadline of a stream: 4 GiB at 200 KiB a second, and the longest that a server allows."""

RETRY_POLICY: Final = {
    # Four retries after 0.1, 0.3, 0.9 and 2.7 seconds, each plus or minus 20 %: gRPC adds the jitter, and
    # allows at most five attempts. That is enough for a server restart, and ends before a person gives up.
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "3s",
    "backoffMultiplier": 3,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
"""How gRPC retries; see gRFC A6."""


@dataclass(frozen=True, slots=True)
class Rpc:
    """A method as declared in its contract.

    Attributes:
        service: Full name of the service, such as ``zegel.document.v1.DocumentService``.
        name: Name of the method.
        stub: The service's generated stub class.
        repeatable: Whether it may be retried when it is not known whether it was carried out.
        takes_request_id: Whether its request has a ``request_id``, which makes it idempotent.
        takes_asserted_origin: Whether its request may say where a signer is.
        doc: The contract's comment.
    """

    service: str
    name: str
    stub: Any
    repeatable: bool
    takes_request_id: bool
    takes_asserted_origin: bool
    doc: str


def _read(method: MethodDescriptor, service: Service) -> Rpc:
    level = method.GetOptions().idempotency_level
    return Rpc(
        service=service.descriptor.full_name,
        name=method.name,
        stub=service.stub,
        repeatable=level in {MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT},
        takes_request_id="request_id" in method.input_type.fields_by_name,
        takes_asserted_origin="asserted_origin" in method.input_type.fields_by_name,
        doc=vars(service.servicer)[method.name].__doc__ or "",
    )


def _methods() -> Iterator[tuple[str, Rpc]]:
    for service in SERVICES:
        for method in service.descriptor.methods:
            yield method.input_type.full_name, _read(method, service)


RPCS: Final[Mapping[str, Rpc]] = dict(_methods())
"""Every method, by the full name of its request."""


def rpc_of(request: Message | type[Message]) -> Rpc:
    """The method that takes a request."""
    return RPCS[request.DESCRIPTOR.full_name]


def service_config() -> str:
    """The gRPC service config, as JSON: which methods gRPC retries, and how."""
    names = [{"service": rpc.service, "method": rpc.name} for rpc in RPCS.values() if rpc.repeatable]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": RETRY_POLICY}]})
