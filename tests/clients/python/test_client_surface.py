"""The clients offer the contracts: every method, under its name, retried as it allows."""

import inspect
import json
import re
from typing import Any, cast

import pytest

import zegel
import zegel.aio
import zegel.client
from zegel._internal import contract, methods
from zegel._internal.surface import AioService, SyncService, Unary
from zegel._services import SERVICES
from zegel.identity.v1 import identity_service_pb2 as identity
from zegel.signing.v1 import signing_service_pb2 as signing

BY_HAND = {"wait_until_sealed", "wait_until_ended", "wait_until_proven"}
"""What the services have besides: flows over the contract's methods."""


def contract_methods() -> dict[str, set[str]]:
    """The methods of each service, in snake_case, by the class that a client's inherits them from."""
    found: dict[str, set[str]] = {}
    for rpc in contract.RPCS.values():
        service = rpc.service.rsplit(".", 1)[1].removesuffix("Service") + "Methods"
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", rpc.name).lower()
        found.setdefault(service, set()).add(
            {"upload_document": "upload", "download_document": "download"}.get(name, name)
        )
    return found


def offered(client: Any) -> dict[str, set[str]]:
    """The same as a client has them."""
    services = [each for each in vars(client).values() if isinstance(each, SyncService | AioService)]
    return {
        base.__name__: {name for name in dir(service) if not name.startswith("_")} - BY_HAND
        for service in services
        for base in type(service).__mro__
        if base.__module__ == methods.__name__
    }


@pytest.mark.parametrize("kind", [zegel.client.Client, zegel.aio.Client])
def test_every_method_of_the_contracts_is_there_and_nothing_else(kind: Any) -> None:
    client = kind("localhost:1", insecure=True)
    assert offered(client) == contract_methods()


def test_a_method_explains_itself() -> None:
    client = zegel.Client("localhost:1", insecure=True)
    method = cast("Any", client.signing.create_signature_request)
    assert method.__qualname__ == "Signing.create_signature_request"
    assert "Idempotent by `request_id`" in (inspect.getdoc(method) or "")
    fields = signing.CreateSignatureRequestRequest.DESCRIPTOR.fields
    assert list(inspect.signature(method).parameters) == [each.name for each in fields]


def test_a_method_declared_under_another_name_is_refused() -> None:
    with pytest.raises((TypeError, RuntimeError)):
        type("Wrong", (), {"fetch": Unary(identity.GetTenantRequest, identity.GetTenantResponse)})


def test_gRPC_repeats_only_what_the_contracts_allow() -> None:  # noqa: N802
    [config] = json.loads(contract.service_config())["methodConfig"]
    told = {(each["service"], each["method"]) for each in config["name"]}
    for service in SERVICES:
        for method in service.descriptor.methods:
            allowed = method.GetOptions().idempotency_level != 0
            assert ((service.descriptor.full_name, method.name) in told) == allowed
    assert ("zegel.document.v1.DocumentService", "UploadDocument") not in told


def test_messages_of_the_contract_are_used_as_they_are() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        cast("Any", zegel.Client("localhost:1", insecure=True).identity.create_tenant)(nonsense=1)
