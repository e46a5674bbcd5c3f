"""Identifiers sort by time and tokens are the secret itself."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.tools import ROOT
from zegel_server.ids import (
    API_KEY_PREFIX,
    LINK_PREFIX,
    SESSION_PREFIX,
    TOKEN_LENGTH,
    hash_token,
    is_id,
    is_token,
    new_id,
    new_token,
)


def test_identifiers_are_of_their_kind_and_sort_by_time() -> None:
    made = []
    for _ in range(5):
        made.append(new_id("doc"))
        time.sleep(0.002)
    assert made == sorted(made)
    assert all(is_id(each, "doc") and not is_id(each, "mem") for each in made)
    assert all(len(each) == 30 for each in made)


def test_identifiers_do_not_repeat() -> None:
    assert len({new_id("doc") for _ in range(20_000)}) == 20_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "doc",
        "doc_",
        "doc_" + "0" * 25,
        "doc_" + "0" * 27,
        "doc_8" + "0" * 25,
        "doc_" + "u" * 26,
        "DOC_" + "0" * 26,
        "doc_" + "0" * 26 + "\n",
        "doc-" + "0" * 26,
        "doc_" + "\u0660" * 26,
        "doc_" + "0" * 25 + "\x00",
    ],
)
def test_what_only_looks_like_one_is_none(text: str) -> None:
    assert not is_id(text, "doc")


@pytest.mark.parametrize("prefix", [API_KEY_PREFIX, SESSION_PREFIX])
def test_a_token_is_known_by_its_form_alone(prefix: str) -> None:
    tokens = {new_token(prefix) for _ in range(500)}
    assert len(tokens) == 500
    for token in tokens:
        assert is_token(token)
        assert re.fullmatch(prefix + r"[0-9A-Za-z]{49}", token)
        assert len(token) == TOKEN_LENGTH
        assert len(hash_token(token)) == 32


@given(st.integers(0, TOKEN_LENGTH - 1), st.characters(categories=["L", "N", "P"]))
def test_a_token_with_another_character_is_none(index: int, character: str) -> None:
    token = new_token(SESSION_PREFIX)
    changed = token[:index] + character + token[index + 1 :]
    assert is_token(changed) == (changed == token)


@given(st.text())
def test_no_text_is_taken_for_a_token(text: str) -> None:
    assert not is_token(text)
    assert not is_token(SESSION_PREFIX + text)


def test_the_expression_that_is_published_for_secret_scanners_finds_every_token() -> None:
    told = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    [expression] = re.findall(r"^    (\\b.*\\b)$", told, re.MULTILINE)
    for prefix in (API_KEY_PREFIX, SESSION_PREFIX, LINK_PREFIX):
        token = new_token(prefix)
        assert re.findall(expression, f'key = "{token}"; other') == [token]
        assert re.findall(expression, f"x{token}") == re.findall(expression, token + "a") == []


def test_a_link_is_no_token_of_another_kind() -> None:
    link, session = new_token(LINK_PREFIX), new_token(SESSION_PREFIX)
    assert is_token(link, (LINK_PREFIX,))
    assert not is_token(link)
    assert not is_token(session, (LINK_PREFIX,))
