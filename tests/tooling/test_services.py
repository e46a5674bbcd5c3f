"""The SDK's services and their methods as they are generated, from contracts that are made up."""

from typing import Any

import pytest
from google.api import field_behavior_pb2
from google.protobuf import descriptor_pb2, duration_pb2, timestamp_pb2

import methods
import services
from contracts import ROOT, Contracts, GenerationError

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


def declared(made: Contracts) -> list[list[str]]:
    """The lines of the method: of the synchronous client, and of the one for asyncio."""
    return [
        methods.methods_module(made, client).partition("    ")[2].partition("\n\n")[2].splitlines()
        for client in methods.CLIENTS
    ]


@pytest.mark.parametrize(
    ("made", "head", "call"),
    [
        (contracts(), "{0}def list_things(self) -> ListThingsResponse:", "return {1}self._unary({2})"),
        (
            contracts(server_streaming=True),
            "def list_things(self) -> {3}Stream[ListThingsResponse]:",
            "return self._streamed({2})",
        ),
        (
            contracts("things"),
            "def list_things(self) -> {3}Pages[ListThingsResponse, Thing]:",
            "return self._paged({2}, lambda page: page.things)",
        ),
    ],
)
def test_a_method_is_written_as_its_contract_has_it(made: Contracts, head: str, call: str) -> None:
    classes = "ListThingsRequest, ListThingsResponse"
    for lines, filled in zip(
        declared(made), [("", "", classes, ""), ("async ", "await ", classes, "Aio")], strict=True
    ):
        assert lines[0].strip() == head.format(*filled)
        assert lines[-1].strip() == call.format(*filled)


def asked(field: descriptor_pb2.FieldDescriptorProto) -> Contracts:
    """A service with one method, whose request has this field."""
    file = descriptor_pb2.FileDescriptorProto(name="zegel/made_up/v1/made_up.proto", package="zegel.made_up.v1")
    file.syntax = "proto3"
    file.dependency.extend(["google/protobuf/timestamp.proto", "google/protobuf/duration.proto"])
    kind = file.enum_type.add(name="ThingKind")
    kind.value.add(name="THING_KIND_UNSPECIFIED", number=0)
    file.message_type.add(name="Thing")
    request = file.message_type.add(name="DoRequest")
    request.field.add(number=1, label=ONE).MergeFrom(field)
    if field.proto3_optional:
        request.oneof_decl.add(name="_it")
    file.message_type.add(name="DoResponse")
    method = file.service.add(name="ThingService").method.add(name="Do")
    method.input_type, method.output_type = ".zegel.made_up.v1.DoRequest", ".zegel.made_up.v1.DoResponse"
    known = [timestamp_pb2.DESCRIPTOR, duration_pb2.DESCRIPTOR]
    files = [descriptor_pb2.FileDescriptorProto.FromString(each.serialized_pb) for each in known]
    return Contracts(descriptor_pb2.FileDescriptorSet(file=[*files, file]))


AT, LASTS = ".google.protobuf.Timestamp", ".google.protobuf.Duration"
KIND, THING = ".zegel.made_up.v1.ThingKind", ".zegel.made_up.v1.Thing"
REQUIRED = descriptor_pb2.FieldOptions()
REQUIRED.Extensions[field_behavior_pb2.field_behavior].append(field_behavior_pb2.REQUIRED)


def field(kind: str, name: str = "", **rest: Any) -> descriptor_pb2.FieldDescriptorProto:
    """A field `it` of a type, and of a message or an enum."""
    number = descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{kind}")
    return descriptor_pb2.FieldDescriptorProto(name="it", type=number, type_name=name or None, **rest)


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        (field("STRING"), 'it: str = ""'),
        (field("STRING", options=REQUIRED), "it: str"),
        (field("STRING", proto3_optional=True, oneof_index=0), "it: str | None = None"),
        (field("INT64"), "it: int = 0"),
        (field("DOUBLE"), "it: float = 0.0"),
        (field("BYTES"), 'it: bytes = b""'),
        (field("MESSAGE", AT), "it: datetime | Timestamp | None = None"),
        (field("MESSAGE", LASTS, options=REQUIRED), "it: timedelta | Duration"),
        (field("MESSAGE", THING), "it: Thing | None = None"),
        (field("MESSAGE", THING, label=REPEATED), "it: Iterable[Thing] = ()"),
        (field("MESSAGE", THING, label=REPEATED, options=REQUIRED), "it: Iterable[Thing]"),
        (field("ENUM", KIND), "it: enums.ThingKind | ThingKind.ValueType = enums.ThingKind.UNSPECIFIED"),
        (field("ENUM", KIND, label=REPEATED), "it: Iterable[enums.ThingKind | ThingKind.ValueType] = ()"),
    ],
)
def test_an_argument_has_its_field_s_type_and_is_required_where_the_contract_says_so(
    field: descriptor_pb2.FieldDescriptorProto, shown: str
) -> None:
    for lines in declared(asked(field)):
        assert f"(self, *, {shown}) -> DoResponse:" in lines[0]
        assert lines[-1].endswith("(DoRequest, DoResponse, it=it)")


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


def test_a_traceback_through_a_method_shows_a_line_that_can_be_read() -> None:
    for client in methods.CLIENTS:
        text = (ROOT / "clients/python" / client.path).read_text(encoding="utf-8")
        assert max(map(len, text.splitlines())) <= 120
