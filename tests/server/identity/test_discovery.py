"""Finding providers' keys: what is asked, what is not, and how often."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.providers import ForgingProvider, forging_provider, new_key
from zegel_server.errors import Unavailable
from zegel_server.identity import discovery
from zegel_server.identity.discovery import MAX_DOCUMENT, ProviderKeys, is_outside, may_ask, origin_of


@pytest.fixture
def provider() -> Iterator[ForgingProvider]:
    with forging_provider() as provider:
        yield provider


@pytest.fixture
def keys(provider: ForgingProvider) -> ProviderKeys:
    return ProviderKeys([provider.issuer])


async def test_keys_are_found_once_and_kept(provider: ForgingProvider, keys: ProviderKeys) -> None:
    found = await asyncio.gather(*(keys.of(provider.issuer, "ten_a") for _ in range(20)))
    assert [key.kid for key in found[0]] == ["one"]
    assert provider.asked == ["/.well-known/openid-configuration", "/jwks"]


async def test_a_flood_of_unknown_keys_asks_once_a_minute(
    provider: ForgingProvider, keys: ProviderKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keys.of(provider.issuer, "ten_a")
    provider.keys.append(new_key("two"))
    provider.publish()
    for _ in range(50):
        assert len(await keys.of(provider.issuer, "ten_a", missing=True)) == 1
    assert len(provider.asked) == 2
    monkeypatch.setattr(discovery, "AGAIN_S", 0.0)
    assert len(await keys.of(provider.issuer, "ten_a", missing=True)) == 2
    assert len(await keys.of(provider.issuer, "ten_a")) == 2
    assert len(provider.asked) == 4


async def test_a_key_that_the_provider_takes_back_is_good_for_an_hour_at_most(
    provider: ForgingProvider, keys: ProviderKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert discovery.KEPT_S == 3_600, "docs/teams-and-sessions.md says an hour"
    await keys.of(provider.issuer, "ten_a")
    provider.keys[:] = [new_key("two")]
    provider.publish()
    assert [key.kid for key in await keys.of(provider.issuer, "ten_a")] == ["one"]
    monkeypatch.setattr(discovery, "KEPT_S", 0.0)  # the hour has passed
    assert [key.kid for key in await keys.of(provider.issuer, "ten_a")] == ["two"]
    # Nor is an old key good for longer because the provider does not answer.
    provider.answers["/jwks"] = 500
    with pytest.raises(Unavailable):
        await keys.of(provider.issuer, "ten_a")


@pytest.mark.parametrize(
    "spoil",
    [
        {"/.well-known/openid-configuration": 500},
        {"/.well-known/openid-configuration": "/elsewhere", "/elsewhere": {}},
        {"/.well-known/openid-configuration": {"issuer": "https://another.example", "jwks_uri": "/jwks"}},
        {"/.well-known/openid-configuration": b"{"},
        {"/.well-known/openid-configuration": b"[" * 100_000},
        {"/.well-known/openid-configuration": []},
        {"/jwks": b" " * (MAX_DOCUMENT + 1)},
        {"/jwks": 404},
    ],
)
async def test_a_provider_that_answers_as_none_does_is_taken_for_absent(
    provider: ForgingProvider, keys: ProviderKeys, spoil: dict[str, object]
) -> None:
    provider.answers.update(spoil)
    with pytest.raises(Unavailable) as raised:
        await keys.of(provider.issuer, "ten_a")
    assert raised.value.metadata == {"dependency": "identity_provider"}
    asked = len(provider.asked)
    with pytest.raises(Unavailable):
        await keys.of(provider.issuer, "ten_a")
    assert len(provider.asked) == asked, "it is left alone for a while"


@pytest.mark.parametrize(
    "inside", ["https://localhost", "https://ip6-localhost", "http://localhost", "https://127.0.0.1", "https://[::1]"]
)
async def test_keys_that_stand_inside_are_not_fetched(provider: ForgingProvider, inside: str) -> None:
    port = provider.issuer.rpartition(":")[2]
    keys = ProviderKeys([provider.issuer])
    provider.answers["/.well-known/openid-configuration"] = {
        "issuer": provider.issuer,
        "jwks_uri": f"{inside}:{port}/jwks",
    }
    with pytest.raises(Unavailable):
        await keys.of(provider.issuer, "ten_a")
    assert provider.asked == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104 - nobody listens here
        "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "2002:7f00:1::", "64:ff9b:1::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_an_address_inside_is_known_as_one(address: str) -> None:
    assert not is_outside(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_outside_is_known_as_one(address: str) -> None:
    assert is_outside(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com", "ftp://id.example.com", "file:///etc/passwd", "https://", "https://127.0.0.1/x", "x",
        "https://u:p@id.example.com", "https://id.example.com#x", "https://id.example.com:99999", "https://[::1]/",
        "https://id.example.com/ x", "https://\u00ef.example", "https://10.0.0.1", "https://169.254.169.254/latest",
    ],
)  # fmt: skip
def test_an_address_that_must_not_be_asked_is_not(url: str) -> None:
    assert not may_ask(url, ())


def test_what_the_operator_allows_is_an_origin_whole() -> None:
    allowed = {str(origin_of("http://127.0.0.1:9000"))}
    assert may_ask("http://127.0.0.1:9000/keys", allowed)
    assert not may_ask("http://127.0.0.1:9001/keys", allowed)
    assert not may_ask("https://127.0.0.1:9000/keys", allowed)
    assert may_ask("https://id.example.com/keys", allowed)


@given(st.text(max_size=60))
def test_no_text_breaks_the_choice(text: str) -> None:
    assert may_ask(text, ()) is (may_ask(text, ()) and text.startswith(("https://", "HTTPS://", "Https://")))
