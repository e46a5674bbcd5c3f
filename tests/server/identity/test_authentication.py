"""What a look-up costs: a good token one query, whatever the tenant calls sensitive; only a miss asks again."""

from types import SimpleNamespace
from typing import Any

import pytest

from zegel_server import clock
from zegel_server.caller import Origin, Scope
from zegel_server.errors import Unauthenticated
from zegel_server.identity import store
from zegel_server.identity.authentication import Authentication
from zegel_server.ids import API_KEY_PREFIX, SESSION_PREFIX, new_token

NOW = clock.now()


class Rows:
    """Answers each statement with a row of its own, and remembers what was asked."""

    def __init__(self, **rows: Any) -> None:
        self.rows = {getattr(store, name): row for name, row in rows.items()}
        self.asked: list[Any] = []

    async def fetch_one(self, statement: Any, **_: Any) -> Any:
        self.asked.append(statement)
        return self.rows.get(statement)


class EverythingAllowed:
    """Policies under which everything is held, without a query."""

    async def holdings(self, *_: Any) -> Any:
        return SimpleNamespace(decide=lambda _: Scope.ANY, shares={})


def key_row(**changes: Any) -> SimpleNamespace:
    row = {
        "api_key_id": "key_1",
        "tenant_id": "ten_1",
        "subject_id": "sub_1",
        "creator_id": "",
        "permissions": "",
        "create_time": NOW,
        "expire_time": None,
        "last_use_time": NOW,
        "previous_use_time": NOW,
        "revoke_time": None,
        "policy_version": 1,
    }
    return SimpleNamespace(**{**row, **changes})


def session_row(**changes: Any) -> SimpleNamespace:
    row = {
        "session_id": "ses_1",
        "kind": "MEMBER",
        "principal_id": "mem_1",
        "signature_request_id": "",
        "certificate": None,
        "idle_us": 0,
        "auth_time": NOW,
        "key_expire_time": None,
        "sensitive": "member.read=60 document.purge=600",
    }
    return SimpleNamespace(**{**vars(key_row(expire_time=NOW + clock.DAY)), **row, **changes})


def authentication(rows: Rows) -> Authentication:
    return Authentication(rows, EverythingAllowed())  # type: ignore[arg-type]


async def test_a_good_session_costs_one_query_and_says_what_it_is_too_old_for() -> None:
    rows = Rows(SESSION_BY_TOKEN=session_row(auth_time=NOW - 90 * clock.SECOND))
    caller = await authentication(rows).authenticate(new_token(SESSION_PREFIX), Origin(), None)
    assert rows.asked == [store.SESSION_BY_TOKEN]
    assert caller.stale == {"member.read": 60}


async def test_a_good_key_costs_one_query() -> None:
    rows = Rows(API_KEY_BY_TOKEN=key_row())
    caller = await authentication(rows).authenticate(new_token(API_KEY_PREFIX), Origin(), None)
    assert rows.asked == [store.API_KEY_BY_TOKEN]
    assert caller.stale == {}


async def test_a_retired_token_costs_one_more() -> None:
    rows = Rows(API_KEY_BY_RETIRED_TOKEN=key_row(token_expire_time=NOW + clock.HOUR))
    await authentication(rows).authenticate(new_token(API_KEY_PREFIX), Origin(), None)
    assert rows.asked == [store.API_KEY_BY_TOKEN, store.API_KEY_BY_RETIRED_TOKEN]


@pytest.mark.parametrize(
    ("overlap", "changes", "reason"),
    [
        (-1, {}, "SESSION_EXPIRED"),
        (clock.HOUR, {"expire_time": 1}, "SESSION_EXPIRED"),
        (clock.HOUR, {"revoke_time": 1}, "SESSION_REVOKED"),
    ],
    ids=["overlap", "end", "revoked"],
)
async def test_a_retired_token_ends_with_its_overlap_and_with_its_key(
    overlap: int, changes: dict[str, Any], reason: str
) -> None:
    rows = Rows(API_KEY_BY_RETIRED_TOKEN=key_row(token_expire_time=NOW + overlap, **changes))
    with pytest.raises(Unauthenticated) as raised:
        await authentication(rows).authenticate(new_token(API_KEY_PREFIX), Origin(), None)
    assert raised.value.reason == reason


async def test_what_has_not_the_form_of_a_token_costs_none() -> None:
    rows = Rows()
    for token in ("", "zk_x", new_token("zl_"), "a.b.c"):
        with pytest.raises(Unauthenticated) as raised:
            await authentication(rows).authenticate(token, Origin(), None)
        assert raised.value.reason == "SESSION_MALFORMED"
    assert rows.asked == []
