"""What is read of a contract, and what is refused without one."""

from collections.abc import Mapping

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

from zegel.document.v1 import document_service_pb2
from zegel.event.v1 import event_type_pb2
from zegel_server.core import SERVICES
from zegel_server.edge.access import DECLARED, Access
from zegel_server.edge.methods import STREAM_CAP_S, UNARY_CAP_S, ContractError, read_contracts, read_method

DOCUMENTS = document_service_pb2.DESCRIPTOR.services_by_name["DocumentService"]


def declare(access: Access) -> Mapping[str, Mapping[str, Access]]:
    return {"made.up.Service": {"Do": access}}


def method(*, streams: bool = False, client_streams: bool = False) -> MethodDescriptor:
    file = descriptor_pb2.FileDescriptorProto(name="made/up.proto", package="made.up", syntax="proto3")
    file.message_type.add(name="Nothing")
    service = file.service.add(name="Service")
    service.method.add(
        name="Do",
        input_type=".made.up.Nothing",
        output_type=".made.up.Nothing",
        server_streaming=streams,
        client_streaming=client_streams,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName("made.up.Service").methods_by_name["Do"]


def test_a_method_without_access_is_refused() -> None:
    with pytest.raises(ContractError, match=r"/made\.up\.Service/Do"):
        read_method(method())


def test_a_method_whose_access_names_no_permission_is_refused() -> None:
    with pytest.raises(ContractError):
        read_method(method(), declare(Access("", (("x", "y"),))))


@pytest.mark.parametrize("streams", [False, True])
def test_a_method_is_read_whole(*, streams: bool) -> None:
    access = Access("thing.do", (("thing_id", "thing"),), records="SIGNED_IN")
    found = read_method(method(streams=streams), declare(access))
    assert (found.path, found.permission) == ("/made.up.Service/Do", "thing.do")
    assert found.resources == (("thing_id", "thing"),)
    assert found.event == event_type_pb2.EVENT_TYPE_SIGNED_IN
    assert found.streams is streams
    assert found.cap_s == (STREAM_CAP_S if streams else UNARY_CAP_S)


def test_a_method_that_streams_both_ways_is_refused() -> None:
    declared = declare(Access("thing.do"))
    assert read_method(method(client_streams=True), declared).streams
    with pytest.raises(ContractError, match=r"/made\.up\.Service/Do streams both ways"):
        read_method(method(streams=True, client_streams=True), declared)


def test_every_method_of_a_service_is_read() -> None:
    found = read_contracts([DOCUMENTS])
    assert len(found) == len(DOCUMENTS.methods)
    assert found["/zegel.document.v1.DocumentService/UploadDocument"].streams
    assert not found["/zegel.document.v1.DocumentService/GetDocument"].streams


def test_nothing_is_declared_of_a_method_that_is_not_there() -> None:
    there = {service.full_name: {each.name for each in service.methods} for service in SERVICES.values()}
    assert {name: set(methods) for name, methods in DECLARED.items()} == there
