import pickle
import re
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zegel
from support.fake_server import details
from zegel.error.v1.error_reason_pb2 import ErrorReason
from zegel.errors import BY_CODE, BY_REASON, ZegelError, from_call

PROTO = Path(__file__).resolve().parents[3] / "protos/zegel/error/v1/error_reason.proto"

CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
METADATA = st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=40), max_size=4)


class Failed(grpc.RpcError):
    """What gRPC raises, with what a server said."""

    def __init__(self, code: grpc.StatusCode, text: str | None, trailing: tuple[tuple[str, bytes], ...] | None) -> None:
        self._said = code, text, trailing

    def code(self) -> grpc.StatusCode:
        return self._said[0]

    def details(self) -> str | None:
        return self._said[1]

    def trailing_metadata(self) -> Any:
        return self._said[2]


def statuses_in_the_contract() -> dict[str, str]:
    """The status of each reason, as the contract's comments have it."""
    text = PROTO.read_text(encoding="utf-8")
    comments = re.findall(r"((?:  //[^\n]*\n)+)  ERROR_REASON_(\w+) = \d+;", text)
    return {
        name: found[1] for comment, name in comments if (found := re.search(r"Status\s+(?://\s*)?`(\w+)`", comment))
    }


def test_each_reason_with_a_class_is_in_the_contract_under_that_class_s_status() -> None:
    contract = statuses_in_the_contract()
    assert len(contract) == len(ErrorReason.keys()) - 1
    assert {reason: kind.default_code.name for reason, kind in BY_REASON.items()} == {
        reason: contract[reason] for reason in BY_REASON
    }


def test_every_reason_of_the_contract_has_a_class_of_its_name() -> None:
    of_the_code = {"INTERNAL", "RESOURCE_NOT_FOUND", "UNKNOWN_METHOD"}  # the code's own class says as much
    of_the_code |= {code.name for code in BY_CODE}
    for reason in statuses_in_the_contract():
        found = BY_REASON.get(reason)
        assert found is not None, f"{reason}: give it a class in zegel/errors.py, as every reason has"
        name = "".join(word.capitalize() for word in reason.split("_"))
        assert found.__name__ == name or (reason in of_the_code and found in BY_CODE.values())
    assert len(set(BY_REASON.values())) == len(BY_REASON)


def test_every_status_of_the_contract_has_a_class() -> None:
    assert set(statuses_in_the_contract().values()) <= {code.name for code in BY_CODE}


@pytest.mark.parametrize("reason", sorted(set(ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}))
def test_every_reason_of_the_contract_becomes_an_error_of_its_status(reason: str) -> None:
    name = reason.removeprefix("ERROR_REASON_")
    code = grpc.StatusCode[statuses_in_the_contract()[name]]
    error = from_call(Failed(code, "No.", details(code, name)))
    assert isinstance(error, BY_CODE[code])
    assert (error.reason, error.code, error.message) == (name, code, "No.")


@given(code=st.sampled_from(CODES), reason=st.text(max_size=60), metadata=METADATA)
def test_a_reason_of_a_newer_server_survives(code: grpc.StatusCode, reason: str, metadata: dict[str, str]) -> None:
    error = from_call(Failed(code, "No.", details(code, f"NEW_{reason}", metadata)))
    assert type(error) is BY_CODE.get(code, ZegelError)
    assert (error.reason, dict(error.metadata), error.code) == (f"NEW_{reason}", metadata, code)


@given(reason=st.sampled_from(sorted(BY_REASON)), code=st.sampled_from(CODES))
def test_the_status_counts_more_than_the_reason(reason: str, code: grpc.StatusCode) -> None:
    error = from_call(Failed(code, "No.", details(code, reason)))
    assert isinstance(error, BY_CODE.get(code, ZegelError))
    assert isinstance(error, BY_REASON[reason]) == (BY_REASON[reason].default_code is code)


def test_another_domain_s_reason_is_not_ours() -> None:
    code = grpc.StatusCode.UNAUTHENTICATED
    error = from_call(Failed(code, "No.", details(code, "SESSION_REVOKED", domain="proxy.example.com")))
    assert type(error) is zegel.Unauthenticated
    assert error.reason == ""


@given(junk=st.binary(min_size=1, max_size=100))
def test_details_that_cannot_be_read_leave_the_status(junk: bytes) -> None:
    error = from_call(Failed(grpc.StatusCode.NOT_FOUND, None, (("grpc-status-details-bin", junk),)))
    assert isinstance(error, zegel.NotFound)
    assert error.message


def test_without_any_details_the_status_is_told() -> None:
    error = from_call(Failed(grpc.StatusCode.UNAVAILABLE, "connection refused", None))
    assert isinstance(error, zegel.Unavailable)
    assert str(error) == "connection refused [UNAVAILABLE]"
    assert error.reason == ""


@pytest.mark.parametrize(
    ("code", "reason", "metadata", "attribute", "value"),
    [
        ("INVALID_ARGUMENT", "INVALID_FIELD", {"field": "signers[1].email"}, "field", "signers[1].email"),
        ("OUT_OF_RANGE", "OUT_OF_RANGE", {"field": "read_offset"}, "field", "read_offset"),
        ("PERMISSION_DENIED", "PERMISSION_DENIED", {"permission": "document.delete"}, "permission", "document.delete"),
        ("NOT_FOUND", "RESOURCE_NOT_FOUND", {"resource": "document"}, "resource", "document"),
        ("FAILED_PRECONDITION", "SIGNATURE_REQUEST_CLOSED", {"state": "CANCELED"}, "state", "CANCELED"),
        ("FAILED_PRECONDITION", "RECIPIENT_HAS_UNSIGNED_FIELDS", {"field_api_id": "x"}, "field_api_id", "x"),
        ("ABORTED", "OFFSET_MISMATCH", {"expected_offset": "1048520"}, "expected_offset", 1_048_520),
        ("ABORTED", "OFFSET_MISMATCH", {"expected_offset": "much"}, "expected_offset", None),
        ("RESOURCE_EXHAUSTED", "LIMIT_REACHED", {"limit": "documents"}, "limit", "documents"),
        ("INTERNAL", "INTERNAL", {"request_id": "5f"}, "request_id", "5f"),
    ],
)
def test_facts_have_attributes(code: str, reason: str, metadata: dict[str, str], attribute: str, value: object) -> None:
    status = grpc.StatusCode[code]
    assert getattr(from_call(Failed(status, "No.", details(status, reason, metadata))), attribute) == value


def test_how_long_to_wait_is_told() -> None:
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    error = from_call(Failed(code, "No.", details(code, "LIMIT_REACHED", retry_after_ms=1_500)))
    assert error.retry_after == 1.5
    assert error.reason == "LIMIT_REACHED"


def test_an_error_survives_a_process_pool() -> None:
    code = grpc.StatusCode.ABORTED
    error = from_call(Failed(code, "No.", details(code, "OFFSET_MISMATCH", {"expected_offset": "7"}, retry_after_ms=5)))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(again), str(again), again.metadata, again.retry_after) == (
        type(error),
        str(error),
        error.metadata,
        error.retry_after,
    )


def test_every_class_of_the_tree_is_drawn_and_public() -> None:
    def below(kind: type[ZegelError]) -> set[str]:
        return {kind.__name__}.union(*(below(each) for each in kind.__subclasses__()))

    drawn = set(re.findall(r"(?:^    |\+-- )([A-Z]\w+)", zegel.errors.__doc__ or "", re.MULTILINE))
    assert drawn == below(ZegelError)
    assert drawn <= set(zegel.__all__)
    assert all(getattr(zegel, name) is getattr(zegel.errors, name) for name in drawn)
