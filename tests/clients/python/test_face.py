"""The flat names of ``zegel``: all that a request or an answer can hold, as a program writes it."""

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

import zegel
import zegel.enums
from contracts import Contracts, GenerationError
from face import write_face
from support.contracts import METHODS
from support.tools import ROOT
from zegel.error.v1 import error_reason_pb2
from zegel_server.edge.methods import read_method


def held(messages: list[Descriptor]) -> Iterator[Descriptor | EnumDescriptor]:
    """Messages and enums that these messages can hold, themselves among them."""
    seen: set[str] = set()
    while messages:
        message = messages.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        yield message
        for field in message.fields:
            if field.message_type is not None:
                messages.append(field.message_type)
            if field.enum_type is not None:
                yield field.enum_type


HELD = {each.full_name: each for method in METHODS for each in held([method.input_type, method.output_type])}
ENUMS = {name: each for name, each in HELD.items() if isinstance(each, EnumDescriptor)}


def test_every_message_that_a_call_can_hold_has_its_name() -> None:
    messages = {name: each for name, each in HELD.items() if isinstance(each, Descriptor)}
    assert len(messages) > 150
    for name, message in messages.items():
        assert message.name in zegel.__all__, name
        assert getattr(zegel, message.name).DESCRIPTOR.full_name == name


def test_every_enum_that_a_call_can_hold_has_its_name_and_its_values() -> None:
    assert len(ENUMS) > 8
    for enum in ENUMS.values():
        ours = getattr(zegel, enum.name)
        prefix = re.sub("([a-z])([A-Z])", r"\1_\2", enum.name).upper()
        assert {f"{prefix}_{each.name}": int(each) for each in ours} == {each.name: each.number for each in enum.values}


def test_every_reason_of_the_contract_is_there_by_name() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118 - no mapping
    assert {str(each) for each in zegel.ErrorReason} == names - {"UNSPECIFIED"}


def test_every_permission_that_a_method_demands_is_there() -> None:
    demanded = {read_method(method).permission for method in METHODS}
    assert {str(each) for each in zegel.Permission} == demanded


def test_every_public_error_has_its_name() -> None:
    from zegel import errors  # noqa: PLC0415 - beside the names

    classes = inspect.getmembers(errors, lambda each: inspect.isclass(each) and each.__module__ == errors.__name__)
    assert len(classes) > 30
    for name, kind in classes:
        assert getattr(zegel, name) is kind


def test_a_request_takes_the_enums_and_an_answer_compares_with_them() -> None:
    field = zegel.Field(type=zegel.FieldType.SIGNATURE)
    field = zegel.Field.FromString(field.SerializeToString())
    assert field.type == zegel.FieldType.SIGNATURE
    assert field.type != zegel.FieldType.TEXT
    assert zegel.FieldType(field.type) is zegel.FieldType.SIGNATURE
    field.type = zegel.FieldType.CHECKBOX
    assert zegel.FieldType(field.type).name == "CHECKBOX"
    asked = zegel.ListEventsRequest(types=[zegel.EventType.ACCESS_DENIED])
    assert asked.types == [zegel.EventType.ACCESS_DENIED]
    key = zegel.CreateApiKeyRequest(permissions=[zegel.Permission.DOCUMENT_READ])
    assert key.permissions == ["document.read"]


def test_a_type_checker_refuses_another_enum_and_a_name_that_is_not_there() -> None:
    """The tests are type-checked as well: mypy complains of a comment that silences nothing."""
    zegel.Field(type=zegel.SessionKind.SIGNER)  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="Feild"):
        _ = zegel.Feild  # type: ignore[attr-defined]


def test_a_number_of_a_newer_server_raises_nothing() -> None:
    event = zegel.Event.FromString(zegel.Event(type=60_000).SerializeToString())  # type: ignore[arg-type]
    unknown = zegel.EventType(event.type)
    assert unknown == event.type == 60_000
    assert (unknown.name, unknown in list(zegel.EventType)) == ("UNKNOWN_60000", False)
    with pytest.raises(ValueError, match="nonsense"):
        zegel.EventType("nonsense")  # type: ignore[arg-type]


def test_a_time_may_be_a_datetime() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    asked = zegel.ListEventsRequest(start_time=at, end_time=zegel.Timestamp(seconds=5))
    assert asked.start_time.ToDatetime(UTC) == at


def test_a_reason_compares_with_its_name() -> None:
    error = zegel.DocumentEncrypted("no", reason="DOCUMENT_ENCRYPTED")
    assert error.reason == zegel.ErrorReason.DOCUMENT_ENCRYPTED


def test_names_cost_nothing_before_they_are_used() -> None:
    program = """
import json, sys, zegel
begun = set(sys.modules)
zegel.FieldType, zegel.Permission
enums = set(sys.modules)
zegel.Field
print(json.dumps([sorted(begun), sorted(enums), sorted(sys.modules)]))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    begun, enums, field = (set(each) for each in json.loads(done.stdout))
    assert {name for name in begun if name.startswith("zegel")} == {"zegel", "zegel._names"}
    assert not {name for name in enums if name.startswith(("google.protobuf", "grpc"))}
    assert "zegel.signing.v1.signature_request_pb2" in field
    assert not {name for name in field if name.startswith(("grpc", "cryptography", "zegel.audit"))}


def written(*messages: str, enum: str = "", value: str = "") -> Contracts:
    """A contract with nothing but these."""
    file = FileDescriptorProto(name="zegel/a/v1/a.proto", package="zegel.a.v1", syntax="proto3")
    file.message_type.extend(DescriptorProto(name=name) for name in messages)
    if enum:
        made = EnumDescriptorProto(name=enum)
        made.value.add(name=value, number=0)
        file.enum_type.append(made)
    method = file.service.add(name="AService").method.add(name="Do")
    method.input_type = method.output_type = f".zegel.a.v1.{messages[0]}"
    for number, name in enumerate(messages[1:], start=1):
        field = file.message_type[0].field.add(name=f"f{number}", number=number, type_name=f".zegel.a.v1.{name}")
        field.type, field.label = FieldDescriptorProto.TYPE_MESSAGE, FieldDescriptorProto.LABEL_OPTIONAL
    return Contracts(FileDescriptorSet(file=[file]))


@pytest.mark.parametrize("name", ["NotFound", "Client", "Permission"])
def test_a_message_named_like_something_else_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "zegel").mkdir()
    with pytest.raises(GenerationError, match=f"{name} of .* need two names"):
        write_face(tmp_path, written("DoRequest", name))


def test_a_value_without_its_enum_s_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "zegel").mkdir()
    contracts = written("DoRequest", enum="FieldType", value="TEXT")
    with pytest.raises(GenerationError, match="TEXT has to begin with FIELD_TYPE_"):
        write_face(tmp_path, contracts)


def partner_programs() -> Iterator[str]:
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "clients/python/README.md"):
        yield from re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    for path in (ROOT / "scripts").glob("demo*.py"):
        yield path.read_text(encoding="utf-8")


def test_no_program_that_we_show_imports_generated_modules() -> None:
    programs = list(partner_programs())
    assert len(programs) > 5
    assert [program for program in programs if "_pb2" in program] == []
