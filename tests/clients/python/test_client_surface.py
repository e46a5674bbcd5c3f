"""The clients offer the contracts: every method, under its name, retried as it allows."""

import inspect
import json
import re
from typing import Any, cast

import pytest

import zegel
import zegel.aio
import zegel.client
from zegel._internal import contract
from zegel._internal.surface import Unary
from zegel.audit.v1 import audit_service_pb2 as audit
from zegel.document.v1 import document_service_pb2 as document
from zegel.identity.v1 import identity_service_pb2 as identity
from zegel.permission.v1 import permission_service_pb2 as permission
from zegel.signing.v1 import ceremony_service_pb2 as ceremony
from zegel.signing.v1 import signing_service_pb2 as signing


def contract_methods() -> dict[str, set[str]]:
    """The methods of each service, in snake_case, by the service's attribute on a client."""
    found: dict[str, set[str]] = {}
    for rpc in contract.RPCS.values():
        attribute = rpc.service.rsplit(".", 1)[1].removesuffix("Service").lower()
        attribute = {"document": "documents", "permission": "permissions"}.get(attribute, attribute)
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", rpc.name).lower()
        found.setdefault(attribute, set()).add(
            {"upload_document": "upload", "download_document": "download"}.get(name, name)
        )
    return found


@pytest.mark.parametrize("kind", [zegel.client.Client, zegel.aio.Client])
def test_every_method_of_the_contracts_is_there_and_nothing_else(kind: Any) -> None:
    client = kind("localhost:1", insecure=True)
    there = {
        attribute: {name for name in dir(getattr(client, attribute)) if not name.startswith("_")}
        for attribute in ("identity", "documents", "signing", "ceremony", "audit", "permissions")
    }
    assert there == contract_methods()


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
    for module in (audit, ceremony, document, identity, permission, signing):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                allowed = method.GetOptions().idempotency_level != 0
                assert ((service.full_name, method.name) in told) == allowed
    assert ("zegel.document.v1.DocumentService", "UploadDocument") not in told


def test_messages_of_the_contract_are_used_as_they_are() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        cast("Any", zegel.Client("localhost:1", insecure=True).identity.create_tenant)(nonsense=1)
