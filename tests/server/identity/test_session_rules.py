"""When a session is good, without a database."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegel_server import clock
from zegel_server.caller import PrincipalKind
from zegel_server.errors import Unauthenticated
from zegel_server.identity.model import USE_NOTED_EVERY, Session

NOW = 1_800_000_000 * clock.SECOND
CERTIFICATE = b"a certificate in DER"


def session(**changes: Any) -> Session:
    values: dict[str, Any] = {
        "session_id": "ses_x",
        "tenant_id": "ten_x",
        "kind": PrincipalKind.MEMBER,
        "principal_id": "mem_x",
        "subject_id": "sub_x",
        "signature_request_id": "",
        "creator_id": "key_x",
        "permissions": frozenset(),
        "certificate": None,
        "create_time": NOW - clock.HOUR,
        "expire_time": NOW + clock.HOUR,
        "idle_us": clock.HOUR,
        "last_use_time": NOW,
        "revoke_time": None,
        "policy_version": 1,
    }
    return Session(**{**values, **changes})


def reason(checked: Session, certificate: bytes | None = None, now: int = NOW) -> str:
    with pytest.raises(Unauthenticated) as refused:
        checked.check(now, certificate)
    return refused.value.reason


def test_a_session_that_is_good_passes() -> None:
    session().check(NOW, None)
    session(expire_time=None, idle_us=0, last_use_time=0).check(NOW, None)


def test_of_several_reasons_the_most_final_is_told() -> None:
    bad = session(revoke_time=NOW, expire_time=NOW - 1, last_use_time=0, certificate=bytes(32))
    assert reason(bad) == "SESSION_REVOKED"
    assert reason(bad._replace(revoke_time=None)) == "SESSION_EXPIRED"
    assert reason(bad._replace(revoke_time=None, expire_time=None)) == "SESSION_EXPIRED"
    assert reason(session(certificate=bytes(32))) == "SESSION_BOUND_ELSEWHERE"


@given(st.integers(-3, 3))
def test_it_ends_at_its_expiry_to_the_microsecond(offset: int) -> None:
    checked = session(expire_time=NOW - offset, idle_us=0)
    if offset >= 0:
        assert reason(checked) == "SESSION_EXPIRED"
    else:
        checked.check(NOW, None)


@given(st.integers(-3, 3))
def test_it_goes_idle_no_earlier_than_it_should(offset: int) -> None:
    checked = session(last_use_time=NOW - clock.HOUR - USE_NOTED_EVERY - offset, expire_time=None)
    if offset >= 0:
        assert reason(checked) == "SESSION_EXPIRED"
    else:
        checked.check(NOW, None)


def test_it_is_bound_to_one_certificate() -> None:
    bound = session(certificate=hashlib.sha256(CERTIFICATE).digest())
    bound.check(NOW, CERTIFICATE)
    for other in (None, b"", b"another", CERTIFICATE + b"\x00"):
        assert reason(bound, other) == "SESSION_BOUND_ELSEWHERE"
    session().check(NOW, CERTIFICATE)  # one that is bound to none takes any


def test_a_use_is_noted_once_a_minute() -> None:
    assert not session(last_use_time=NOW - USE_NOTED_EVERY + 1).wants_note(NOW)
    assert session(last_use_time=NOW - USE_NOTED_EVERY).wants_note(NOW)


def test_it_says_when_it_goes_idle() -> None:
    assert session().idle_expire_time == NOW + clock.HOUR
    assert session(idle_us=0).idle_expire_time is None
