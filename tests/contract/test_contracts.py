"""The contracts hold what they promise of themselves: comments, access, events, idempotency, pages."""

import re

import pytest
from google.api import field_behavior_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from buf import run_buf
from support.contracts import IDEMPOTENT, METHODS, NO_SIDE_EFFECTS, comments, field_at, path_of
from support.tools import ROOT
from zegel_server.core import SERVICES
from zegel_server.edge.methods import read_method
from zegel_server.permissions.model import BUILT_IN

each_method = pytest.mark.parametrize("method", METHODS, ids=path_of)


def test_buf_finds_nothing() -> None:
    done = run_buf(ROOT, "lint")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_element_says_what_it_is(descriptors: descriptor_pb2.FileDescriptorSet) -> None:
    said = {name: comment for file in descriptors.file for name, comment in comments(file)}
    assert len(said) > 500
    assert [name for name, comment in said.items() if len(comment.split()) < 2] == []


WORDS = {
    "Required": "REQUIRED",
    "Output only": "OUTPUT_ONLY",
    "Optional": "OPTIONAL",
    "Immutable": "IMMUTABLE",
    "Input only": "INPUT_ONLY",
}
"""What a comment says of a field, as the beginning of a sentence or of what follows a colon."""
ASSIGNED = "Assigned by Zegel; an update names it."


def behaviour_said(comment: str) -> set[str]:
    """What a field's comment says of it, as the names of ``google.api.FieldBehavior``."""
    text = " ".join(comment.split())
    said = {value for word, value in WORDS.items() if re.search(rf"(?:^|[.:;] ){word}[.,:;]", text)}
    return said | ({"IDENTIFIER"} if ASSIGNED in text else set())


def test_words_about_a_field_and_its_annotation_are_the_same(descriptors: descriptor_pb2.FileDescriptorSet) -> None:
    said = {name: comment for file in descriptors.file for name, comment in comments(file)}
    behaviour = field_behavior_pb2.field_behavior
    found, wrong = 0, []
    for file in descriptors.file:
        for message in file.message_type:
            for field in message.field:
                name = f"{file.package}.{message.name}.{field.name}"
                annotated = {
                    field_behavior_pb2.FieldBehavior.Name(each) for each in field.options.Extensions[behaviour]
                }
                if annotated != behaviour_said(said[name]):
                    wrong.append(f"{name}: {sorted(annotated)} in {said[name]!r}")
                found += len(annotated)
    assert wrong == []
    assert found > 130


def test_no_word_about_a_field_hides_in_a_sentence(descriptors: descriptor_pb2.FileDescriptorSet) -> None:
    said = {name: comment for file in descriptors.file for name, comment in comments(file)}
    hidden = [
        (name, comment)
        for file in descriptors.file
        for message in file.message_type
        for name, comment in ((f"{file.package}.{message.name}.{each.name}", "") for each in message.field)
        for comment in [" ".join(said[name].split())]
        if re.search(r"\b([Rr]equired|[Oo]utput only|[Oo]ptional|[Ii]nput only|[Ii]mmutable)\b", comment)
        and not behaviour_said(comment)
    ]
    assert hidden == [
        (
            "zegel.signing.v1.Field.required",
            "Whether the signer has to fill it in before signing. A signature field is always required.",
        )
    ]


def test_every_service_of_the_contracts_is_generated(descriptors: descriptor_pb2.FileDescriptorSet) -> None:
    written = {f"{file.package}.{service.name}" for file in descriptors.file for service in file.service}
    assert written == {service.full_name for service in SERVICES.values()}


@each_method
def test_a_method_declares_its_access(method: MethodDescriptor) -> None:
    access = read_method(method)
    resource, _, verb = access.permission.partition(".")
    assert resource.replace("_", "").isalpha()
    assert verb.replace("_", "").isalpha()
    for path, kind in access.resources:
        field = field_at(method, path)
        assert field is not None, path
        assert field.type == FieldDescriptor.TYPE_STRING
        assert kind.replace("_", "").isalpha()


@each_method
def test_a_method_that_changes_something_leaves_an_event(method: MethodDescriptor) -> None:
    if method.GetOptions().idempotency_level != NO_SIDE_EFFECTS:
        assert read_method(method).event


@each_method
def test_a_request_id_makes_a_method_idempotent(method: MethodDescriptor) -> None:
    if "request_id" in method.input_type.fields_by_name:
        assert method.GetOptions().idempotency_level == IDEMPOTENT
    elif method.name.startswith("Create"):
        # Each session is another; whoever wants one once keeps its token.
        assert method.name.endswith("Session")


@each_method
def test_a_list_comes_in_pages(method: MethodDescriptor) -> None:
    if not method.name.startswith("List") or method.name == "ListPermissions":  # as many as there are permissions
        return
    asked, answered = method.input_type.fields_by_name, method.output_type.fields_by_name
    assert asked["page_size"].type == FieldDescriptor.TYPE_INT32
    assert asked["page_token"].type == answered["next_page_token"].type == FieldDescriptor.TYPE_STRING


@each_method
def test_a_method_has_a_request_and_an_answer_of_its_own(method: MethodDescriptor) -> None:
    assert method.input_type.name == f"{method.name}Request"
    assert method.output_type.name == f"{method.name}Response"


def test_every_permission_is_held_by_a_role_and_every_role_holds_permissions_that_exist() -> None:
    demanded = {read_method(method).permission for method in METHODS}
    held = {grant.permission for role in BUILT_IN.values() for grant in role.grants}
    assert demanded == held


def test_what_an_owner_does_not_hold_is_somebody_else_s_by_nature() -> None:
    demanded = {read_method(method).permission for method in METHODS}
    owner = {grant.permission for grant in BUILT_IN["owner"].grants}
    assert demanded - owner == {"tenant.create", "ceremony.open", "ceremony.read", "ceremony.sign"}
