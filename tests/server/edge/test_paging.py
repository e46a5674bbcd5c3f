"""Page tokens: good for one list, opaque, without authority, and safe whatever they hold."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegel.identity.v1 import identity_service_pb2 as identity
from zegel.permission.v1 import permission_service_pb2 as permission
from zegel_server.edge import paging
from zegel_server.edge.paging import Page, PageRequest
from zegel_server.errors import InvalidArgument
from zegel_server.permissions.model import Binding

keys = st.text(st.characters(min_codepoint=32, max_codepoint=126))


def with_token(request: Any, token: str) -> Any:
    copy = type(request)()
    copy.CopyFrom(request)
    copy.page_token = token
    return copy


@given(keys, st.integers(0, 2**63 - 1), st.integers(0, 1_000))
def test_a_token_brings_its_place_back_whatever_the_page_s_size(key: str, number: int, size: int) -> None:
    request = permission.ListBindingsRequest(role="owner")
    token = paging.next_token(request, Page((), (key, number)))
    request.page_size = size
    assert paging.page_request(with_token(request, token), str, int).start("", 0) == (key, number)


def test_the_first_page_has_no_token() -> None:
    asked = paging.page_request(identity.ListMembersRequest())
    assert asked == PageRequest(paging.DEFAULT_PAGE)
    assert asked.start("first") == ("first",)


def test_the_last_page_has_no_token() -> None:
    assert paging.next_token(identity.ListMembersRequest(), Page(["the only one"])) == ""


@given(keys)
def test_a_token_of_another_list_is_refused(key: str) -> None:
    token = paging.next_token(permission.ListBindingsRequest(role="owner"), Page((), (key,)))
    for other in (
        permission.ListBindingsRequest(role="member"),
        permission.ListBindingsRequest(),
        identity.ListMembersRequest(),
    ):
        with pytest.raises(InvalidArgument) as refused:
            paging.page_request(with_token(other, token), str)
        assert refused.value.reason == "INVALID_PAGE_TOKEN"


@given(st.text(max_size=1_100))
def test_no_text_does_harm(text: str) -> None:
    request = identity.ListMembersRequest(page_token=text.encode("utf-8", "replace").decode())
    if request.page_token:
        with pytest.raises(InvalidArgument):
            paging.page_request(request, str)


def forged(*place: object) -> str:
    good = paging.next_token(identity.ListMembersRequest(), Page((), ("x",)))
    digest = json.loads(base64.urlsafe_b64decode(good + "=="))[0]
    return base64.urlsafe_b64encode(json.dumps([digest, *place]).encode()).decode().rstrip("=")


@pytest.mark.parametrize("part", ["a\x00b", "\ud800", "é", "a\n", 2**63, -1, 10**200, True, None, 1.5, [], {}])
def test_what_no_key_can_be_reaches_no_database(part: object) -> None:
    kind = int if isinstance(part, int) else str
    with pytest.raises(InvalidArgument):
        paging.page_request(identity.ListMembersRequest(page_token=forged(part)), kind)


@pytest.mark.parametrize("shape", ["[" * 700, '{"a": 1}', '"text"', "7", "null", "[]", "[[]]"])
def test_json_of_another_shape_is_refused(shape: str) -> None:
    token = base64.urlsafe_b64encode(shape.encode()).decode().rstrip("=")
    with pytest.raises(InvalidArgument):
        paging.page_request(identity.ListMembersRequest(page_token=token), str)


@pytest.mark.parametrize(("asked", "got"), [(0, 100), (1, 1), (1_000, 1_000), (1_001, 1_000), (2**31 - 1, 1_000)])
def test_a_page_has_so_many_rows(asked: int, got: int) -> None:
    asked_for = paging.page_request(identity.ListMembersRequest(page_size=asked))
    assert (asked_for.size, asked_for.rows) == (got, got + 1)


@given(st.integers(1, 5), st.integers(0, 20))
def test_pages_follow_one_another_without_gap_or_repetition(size: int, count: int) -> None:
    every = [Binding(f"key_{index // 3:02}", f"role_{index % 3}", None, index) for index in range(count)]
    asked, seen = PageRequest(size), list[Binding]()
    while True:
        after = asked.start("", "")
        read = [each for each in every if (each.principal_id, each.role) > after][: asked.rows]
        page = asked.cut(read, "principal_id", "role")
        seen += page.items
        assert len(page.items) == size or page.next is None
        assert page.holding([each.role for each in page.items]).next == page.next
        if page.next is None:
            break
        asked = PageRequest(size, page.next)
    assert seen == every
