"""What is wrong with a new request is told all at once."""

import pytest
from google.rpc import error_details_pb2

from zegel_server.edge.status import MAX_VIOLATIONS, status_of
from zegel_server.errors import InvalidArgument, NotFound, Violations
from zegel_server.ids import new_id
from zegel_server.signing.field_types import FieldType
from zegel_server.signing.fields import Field
from zegel_server.signing.new_request import DocumentChoice, NewRequest, Signer, check_new_request


def field(api_id: str, **changes: object) -> Field:
    given = {"type": FieldType.SIGNATURE, "document_index": 0, "signer_index": 0, "page": 1, "x": 1.0, "y": 1.0}
    return Field(**{"api_id": api_id, "width": 90.0, "height": 30.0, "required": True, **given, **changes})  # type: ignore[arg-type]


def refused(new: NewRequest) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        check_new_request(new)
    return caught.value


def told(error: InvalidArgument) -> list[error_details_pb2.BadRequest.FieldViolation]:
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    details = status_of(error).details
    assert details[0].Unpack(info)
    assert info.metadata["field"] == error.metadata["field"]
    assert details[1].Unpack(bad)
    return list(bad.field_violations)


def test_all_that_is_wrong_is_told_at_once() -> None:
    error = refused(
        NewRequest(
            title="",
            documents=(DocumentChoice("doc_malformed", -1),),
            signers=(Signer("", "nobody"), Signer("Ann", "ann@example.com", -1)),
            fields=(field("a", page=0), field("b", signer_index=7), field("c"), field("c")),
        )
    )
    violations = told(error)
    assert [each.field for each in violations] == [
        "title",
        "signers[0].email",
        "signers[0].name",
        "signers[1].order",
        "fields[0].page",
        "fields[1].signer_index",
        "fields[3].api_id",
        "documents[0].version",
    ]
    assert violations[0].description == "must not be empty"
    assert (error.reason, error.metadata) == ("MISSING_FIELD", {"field": "title"})


def test_every_signer_without_a_signature_is_named() -> None:
    signers = tuple(Signer(name, f"{name}@example.com") for name in ("ann", "bob", "cas"))
    document = DocumentChoice(new_id("doc"))
    error = refused(NewRequest(title="Lease", documents=(document,), signers=signers, fields=(field("a"),)))
    assert [each.field for each in told(error)] == ["signers[1]", "signers[2]"]
    assert error.reason == "MISSING_SIGNATURE_FIELD"


def test_too_much_is_not_looked_at_one_by_one() -> None:
    fields = tuple(field("a") for _ in range(1_001))
    error = refused(NewRequest(title="", documents=(), signers=(), fields=fields))
    assert [each.field for each in told(error)] == ["documents", "signers", "fields"]


def test_what_is_absent_alone_is_absent() -> None:
    with pytest.raises(NotFound):
        check_new_request(
            NewRequest(
                title="Lease",
                documents=(DocumentChoice("doc_malformed"),),
                signers=(Signer("Ann", "ann@example.com"),),
                fields=(field("a"),),
            )
        )


@pytest.mark.parametrize(("length", "most"), [(1, Violations.MOST), (300, 13)])
def test_what_is_told_fits_into_the_metadata(length: int, most: int) -> None:
    violations = Violations()
    for index in range(1_000):
        with violations.gather():
            raise InvalidArgument(f"fields[{index}]", "x" * length)
    with pytest.raises(InvalidArgument) as caught:
        violations.end()
    found = told(caught.value)
    assert 1 < len(found) <= most
    assert sum(each.ByteSize() for each in found) < MAX_VIOLATIONS
    assert found[0].field == "fields[0]"


def test_every_refusal_of_a_field_has_its_violation() -> None:
    assert [(each.field, each.description) for each in told(InvalidArgument("page_size", "must not be negative"))] == [
        ("page_size", "must not be negative")
    ]
