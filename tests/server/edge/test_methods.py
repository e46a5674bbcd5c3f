"""What is read of a contract, and what is refused without one."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

from zegel.document.v1 import document_service_pb2
from zegel.event.v1 import event_type_pb2
from zegel.permission.v1 import access_pb2
from zegel_server.edge.methods import STREAM_CAP_S, UNARY_CAP_S, ContractError, read_contracts, read_method

DOCUMENTS = document_service_pb2.DESCRIPTOR.services_by_name["DocumentService"]


def method(
    options: descriptor_pb2.MethodOptions, *, streams: bool = False, client_streams: bool = False
) -> MethodDescriptor:
    file = descriptor_pb2.FileDescriptorProto(name="made/up.proto", package="made.up", syntax="proto3")
    file.message_type.add(name="Nothing")
    service = file.service.add(name="Service")
    service.method.add(
        name="Do",
        input_type=".made.up.Nothing",
        output_type=".made.up.Nothing",
        server_streaming=streams,
        client_streaming=client_streams,
        options=options,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName("made.up.Service").methods_by_name["Do"]


def test_a_method_without_access_is_refused() -> None:
    with pytest.raises(ContractError, match=r"/made\.up\.Service/Do"):
        read_method(method(descriptor_pb2.MethodOptions()))


def test_a_method_whose_access_names_no_permission_is_refused() -> None:
    options = descriptor_pb2.MethodOptions()
    options.Extensions[access_pb2.access].resources.add(path="x", kind="y")
    with pytest.raises(ContractError):
        read_method(method(options))


@pytest.mark.parametrize("streams", [False, True])
def test_a_method_is_read_whole(*, streams: bool) -> None:
    options = descriptor_pb2.MethodOptions()
    access = options.Extensions[access_pb2.access]
    access.permission = "thing.do"
    access.resources.add(path="thing_id", kind="thing")
    options.Extensions[event_type_pb2.records] = event_type_pb2.EVENT_TYPE_SIGNED_IN
    found = read_method(method(options, streams=streams))
    assert (found.path, found.permission) == ("/made.up.Service/Do", "thing.do")
    assert found.resources == (("thing_id", "thing"),)
    assert found.event == event_type_pb2.EVENT_TYPE_SIGNED_IN
    assert found.streams is streams
    assert found.cap_s == (STREAM_CAP_S if streams else UNARY_CAP_S)


def test_a_method_that_streams_both_ways_is_refused() -> None:
    options = descriptor_pb2.MethodOptions()
    options.Extensions[access_pb2.access].permission = "thing.do"
    assert read_method(method(options, client_streams=True)).streams
    with pytest.raises(ContractError, match=r"/made\.up\.Service/Do streams both ways"):
        read_method(method(options, streams=True, client_streams=True))


def test_every_method_of_a_service_is_read() -> None:
    found = read_contracts([DOCUMENTS])
    assert len(found) == len(DOCUMENTS.methods)
    assert found["/zegel.document.v1.DocumentService/UploadDocument"].streams
    assert not found["/zegel.document.v1.DocumentService/GetDocument"].streams
