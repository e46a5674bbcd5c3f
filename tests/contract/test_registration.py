"""Whatever a service or a method of the contracts needs by hand: it is there, and what is forgotten is named."""

from typing import Any
from unittest.mock import Mock

import pytest
from google.protobuf.descriptor import ServiceDescriptor

import reference
import zegel.aio
from contracts import Contracts, GenerationError
from support.contracts import METHODS
from zegel.permission.v1 import permission_service_pb2_grpc
from zegel_server.app import Domains
from zegel_server.core import SERVICES
from zegel_server.edge.endpoints import Served, endpoints_by_service
from zegel_server.edge.methods import ContractError, read_contracts
from zegel_server.permissions.servicer import PermissionServicer

CONTRACTS = read_contracts(SERVICES.values())


class LacksGetRole(PermissionServicer):
    """As if the method had not been written: what was generated is in its place."""

    GetRole = permission_service_pb2_grpc.PermissionServiceServicer.GetRole  # type: ignore[assignment]


@pytest.fixture
def served() -> list[Served]:
    """What the server starts with; nothing is called, so it may stand on nothing."""
    return Domains.servicers(Mock())


def index_of(served: list[Served], base: type) -> int:
    [found] = [number for number, each in enumerate(served) if isinstance(each.servicer, base)]
    return found


def test_everything_is_served(served: list[Served]) -> None:
    offered = endpoints_by_service(SERVICES, served, CONTRACTS)
    paths = {endpoint.method.path for endpoints in offered.values() for endpoint in endpoints}
    assert paths == CONTRACTS.keys()
    assert len(paths) == len(METHODS)


@pytest.mark.parametrize(("base", "service"), SERVICES.items(), ids=[each.name for each in SERVICES.values()])
def test_a_service_without_a_servicer_is_named(served: list[Served], base: type, service: ServiceDescriptor) -> None:
    del served[index_of(served, base)]
    with pytest.raises(ContractError) as refused:
        endpoints_by_service(SERVICES, served, CONTRACTS)
    assert str(refused.value) == f"{service.full_name} has no servicer"


def test_a_service_with_two_servicers_is_named(served: list[Served]) -> None:
    served.append(Served(PermissionServicer(Mock(), Mock())))
    with pytest.raises(ContractError) as refused:
        endpoints_by_service(SERVICES, served, CONTRACTS)
    assert str(refused.value) == "zegel.permission.v1.PermissionService has 2 servicers"


def test_a_method_that_its_servicer_lacks_is_named_with_all_else_that_is_missing(served: list[Served]) -> None:
    served[index_of(served, PermissionServicer)] = Served(LacksGetRole(Mock(), Mock()))
    audit = next(base for base, service in SERVICES.items() if service.name == "AuditService")
    del served[index_of(served, audit)]
    with pytest.raises(ContractError) as refused:
        endpoints_by_service(SERVICES, served, CONTRACTS)
    assert str(refused.value).split("; ") == [
        "zegel.audit.v1.AuditService has no servicer",
        "LacksGetRole lacks GetRole of zegel.permission.v1.PermissionService",
    ]


@pytest.mark.parametrize("face", [zegel, zegel.aio], ids=["zegel", "zegel.aio"])
def test_a_service_without_a_class_in_the_sdk_is_named(face: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(face.Client):  # type: ignore[misc]
        def _bind(self, *arguments: Any) -> None:
            super()._bind(*arguments)
            del self.permissions

    monkeypatch.setattr(face, "Client", Forgetful)
    with pytest.raises(GenerationError, match=r"PermissionService\.\w+ has no method in the SDK: .* PermissionMethods"):
        dict(reference.Reference(Contracts.compiled()).pages())
