"""The SDK's services as they are generated, from contracts that are made up."""

import pytest
from google.protobuf import descriptor_pb2

import services
from contracts import Contracts, GenerationError

REPEATED, ONE = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED, descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL


def contracts(*lists: str, client_streaming: bool = False, server_streaming: bool = False) -> Contracts:
    """A service with one method, whose answer has lists and, where it has any, a token for the next page."""
    file = descriptor_pb2.FileDescriptorProto(name="zegel/made_up/v1/made_up.proto", package="zegel.made_up.v1")
    file.message_type.add(name="Thing")
    file.message_type.add(name="ListThingsRequest")
    answer = file.message_type.add(name="ListThingsResponse")
    for number, name in enumerate(lists, 1):
        answer.field.add(name=name, number=number, type=11, label=REPEATED, type_name=".zegel.made_up.v1.Thing")
    if lists:
        answer.field.add(name="next_page_token", number=99, type=9, label=ONE)
    file.service.add(name="ThingService").method.add(
        name="ListThings",
        input_type=".zegel.made_up.v1.ListThingsRequest",
        output_type=".zegel.made_up.v1.ListThingsResponse",
        client_streaming=client_streaming,
        server_streaming=server_streaming,
    )
    return Contracts(descriptor_pb2.FileDescriptorSet(file=[file]))


def declared(made: Contracts) -> str:
    """The line of the method."""
    return services.methods_module(made).splitlines()[-1].strip()


def test_a_method_is_declared_as_its_contract_has_it() -> None:
    classes = "made_up_pb2.ListThingsRequest, made_up_pb2.ListThingsResponse"
    assert declared(contracts()) == f"list_things = Unary({classes})"
    assert declared(contracts(server_streaming=True)) == f"list_things = Streamed({classes})"
    assert declared(contracts("things")) == f"list_things = Paged({classes}, lambda page: page.things)"


def test_a_page_has_one_list() -> None:
    with pytest.raises(GenerationError, match="ListThingsResponse has to have one list"):
        declared(contracts("things", "others"))


def test_a_stream_from_the_client_is_written_by_hand() -> None:
    with pytest.raises(GenerationError, match=r"ThingService\.ListThings streams from the client"):
        declared(contracts(client_streaming=True))


def test_a_service_is_listed_with_its_generated_classes() -> None:
    listed = services.services_module(contracts())
    assert '        made_up_pb2.DESCRIPTOR.services_by_name["ThingService"],\n' in listed
    assert "        made_up_pb2_grpc.ThingServiceServicer,\n" in listed
