"""What the contracts declare is whole: every field that can name something is declared, or said why it need not be."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from security.contracts import (
    FILTERS,
    GRANTED,
    IGNORED,
    LABELS,
    RPCS,
    Rpc,
    held_by,
    identifier_fields,
    reaches,
    undeclared,
)
from security.templates import TEMPLATES
from zegel_server.caller import Scope
from zegel_server.permissions.model import BUILT_IN


@pytest.mark.parametrize("rpc", RPCS.values(), ids=RPCS)
def test_every_field_that_names_something_is_declared(rpc: Rpc) -> None:
    assert undeclared(rpc) == set(), "declare it as a resource in the contract, or say in security.contracts what it is"


@pytest.mark.parametrize("rpc", RPCS.values(), ids=RPCS)
def test_every_declared_resource_is_a_field_of_the_request(rpc: Rpc) -> None:
    paths = set(identifier_fields(rpc.descriptor.input_type)) | {"role.name"}
    assert set(rpc.kinds) <= paths


def test_nothing_is_explained_that_is_not_there() -> None:
    fields = {name: set(identifier_fields(rpc.descriptor.input_type)) for name, rpc in RPCS.items()}
    assert all(path in fields[name] for name, path in [*FILTERS, *GRANTED, *IGNORED])
    assert set(LABELS) <= set().union(*fields.values())
    assert not any(path in RPCS[name].kinds for name, path in [*FILTERS, *GRANTED, *IGNORED])


def test_a_new_field_is_found_however_deep_it_stands() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="made_up.proto", package="made_up", syntax="proto3")
    outer, inner = file.message_type.add(name="Outer"), file.message_type.add(name="Inner")
    for number, name in enumerate(("inner", "others"), 1):
        outer.field.add(
            name=name, number=number, type=11, label=3 if name == "others" else 1, type_name=".made_up.Inner"
        )
    for number, name in enumerate(("folder_id", "label", "folder_ids", "roles"), 1):
        inner.field.add(name=name, number=number, type=9, label=1)
    inner.field.add(name="within", number=9, type=11, label=1, type_name=".made_up.Inner")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = set(identifier_fields(pool.FindMessageTypeByName("made_up.Outer")))
    assert found == {
        f"{where}.{name}" for where in ("inner", "others") for name in ("folder_id", "folder_ids", "roles")
    }


def test_every_method_has_a_request_to_probe_it_with() -> None:
    assert [name for name in RPCS if name not in TEMPLATES] == [], "give it one in security.templates"
    assert [name for name in TEMPLATES if name not in RPCS] == [], "it probes nothing"


def test_every_permission_of_a_method_is_held_by_a_built_in_role_and_the_other_way_round() -> None:
    held = set().union(*(held_by(name) for name in BUILT_IN))
    assert held == {rpc.permission for rpc in RPCS.values()}


@pytest.mark.parametrize("relation", ["other", "absent", "malformed"])
def test_no_scope_reaches_what_is_not_of_the_tenant(relation: str) -> None:
    assert not reaches(Scope.OWN | Scope.PARTY | Scope.ANY, "document", relation)


def test_a_scope_reaches_what_it_says() -> None:
    expected = {
        (Scope.OWN, "own"),
        (Scope.PARTY, "party"),
        (Scope.ANY, "own"),
        (Scope.ANY, "party"),
        (Scope.ANY, "foreign"),
    }
    relations = ("own", "party", "foreign")
    scopes = (Scope.NONE, Scope.OWN, Scope.PARTY, Scope.ANY)
    assert {(each, relation) for each in scopes for relation in relations if reaches(each, "document", relation)} == (
        expected
    )
