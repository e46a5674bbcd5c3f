"""What only a token has: keys that cannot leave, logins, and going away."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

import pkcs11
import pytest

from support import softhsm
from zegel_server.crypto import KeyDestroyed, WrappedKey, open_root_keys
from zegel_server.crypto import pkcs11 as provider_module
from zegel_server.crypto.pkcs11 import Pkcs11RootKeys
from zegel_server.errors import DataLoss, Unavailable

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Driver  # noqa: N812 - it is a class

KEY = bytes(range(32))


@pytest.fixture
async def provider(empty_token: softhsm.SoftToken) -> AsyncIterator[Pkcs11RootKeys]:
    provider = cast("Pkcs11RootKeys", open_root_keys(empty_token.url))
    yield provider
    await provider.close()


async def test_a_root_key_cannot_leave_the_token(provider: Pkcs11RootKeys) -> None:
    root_key_id = await provider.create()

    def look(session: pkcs11.Session) -> None:
        key = session.get_key(id=root_key_id.encode())
        for attribute in ("SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL", "PRIVATE", "TOKEN"):
            assert key[pkcs11.Attribute[attribute]] is True
        for attribute in ("EXTRACTABLE", "ENCRYPT", "DECRYPT", "SIGN", "VERIFY"):
            assert key[pkcs11.Attribute[attribute]] is False
        with pytest.raises(pkcs11.AttributeSensitive):
            key[pkcs11.Attribute.VALUE]
        other: Any = session.get_key(id=root_key_id.encode())
        with pytest.raises(pkcs11.PKCS11Error):
            other.wrap_key(key, mechanism=pkcs11.Mechanism.AES_KEY_WRAP)

    await provider._run(provider._with_session, look)


async def test_no_key_is_left_in_the_session(provider: Pkcs11RootKeys) -> None:
    await provider.create()
    for _ in range(3):
        await provider.unwrap(await provider.wrap(KEY))
    with pytest.raises(DataLoss):
        await provider.unwrap(WrappedKey(await provider.primary(), bytes(40)))
    kinds = await provider._run(
        provider._with_session, lambda session: [type(found).__name__ for found in session.get_objects()]
    )
    assert sorted(kinds) == ["Object", "SecretKey"]


@pytest.mark.faults
async def test_a_token_that_goes_away_comes_back_without_a_restart(
    provider: Pkcs11RootKeys, empty_token: softhsm.SoftToken
) -> None:
    await provider.create()
    wrapped = await provider.wrap(KEY)
    away = empty_token.folder / "away"
    empty_token.tokens.rename(away)
    empty_token.tokens.mkdir()
    try:
        for call in (lambda: provider.unwrap(wrapped), lambda: provider.wrap(KEY), provider.list, provider.ensure):
            with pytest.raises(Unavailable):
                await call()
    finally:
        empty_token.tokens.rmdir()
        away.rename(empty_token.tokens)
    assert await provider.unwrap(wrapped) == KEY


@pytest.mark.faults
async def test_a_session_that_was_logged_out_is_opened_anew(provider: Pkcs11RootKeys) -> None:
    await provider.create()
    wrapped = await provider.wrap(KEY)
    await provider._run(provider._with_session, lambda session: session.close())
    assert await provider.unwrap(wrapped) == KEY
    assert len(await provider.list()) == 1


@pytest.mark.faults
async def test_a_driver_that_was_reset_is_opened_anew(provider: Pkcs11RootKeys, empty_token: softhsm.SoftToken) -> None:
    await provider.create()
    wrapped = await provider.wrap(KEY)
    pkcs11.lib(str(empty_token.module)).reinitialize()
    assert await provider.unwrap(wrapped) == KEY


@pytest.mark.faults
async def test_a_refused_pin_is_not_tried_twice(
    empty_token: softhsm.SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = open_root_keys(empty_token.url)
    pin, tried = empty_token.folder / "pin", list[str]()
    original = provider_module._open

    def counted(driver: "Driver", token: str, pin: str) -> pkcs11.Session:
        tried.append(pin)
        return original(driver, token, pin)

    monkeypatch.setattr(provider_module, "_open", counted)
    try:
        pin.write_text("9999")
        for _ in range(5):
            with pytest.raises(Unavailable) as caught:
                await provider.create()
            assert "9999" not in str(caught.value)
        assert tried == ["9999"]
    finally:
        pin.write_text(softhsm.PIN)
    await provider.create()
    await provider.close()


@pytest.mark.faults
async def test_a_missing_pin_or_token_is_unavailable(empty_token: softhsm.SoftToken) -> None:
    for url in (
        empty_token.url.replace("/pin", "/no-pin"),
        empty_token.url.replace("zegel%20tests", "other"),
        empty_token.url.replace(str(empty_token.module), "/no/driver.so"),
    ):
        provider = open_root_keys(url)
        with pytest.raises(Unavailable):
            await provider.create()
        await provider.close()


@pytest.mark.faults
async def test_a_token_that_hangs_is_given_up(empty_token: softhsm.SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = open_root_keys(empty_token.url)
    monkeypatch.setattr(provider, "_timeout", 0.1)
    let_go = threading.Event()
    monkeypatch.setattr(provider_module, "_destroyed", lambda _: let_go.wait())
    with pytest.raises(Unavailable):
        await provider.list()
    monkeypatch.undo()
    let_go.set()
    await provider.create()
    await provider.close()


async def test_a_crash_between_trace_and_key_leaves_the_key_and_can_be_finished(
    provider: Pkcs11RootKeys,
) -> None:
    root_key_id = await provider.create()
    wrapped = await provider.wrap(KEY)
    trace = provider_module._data_object(provider_module._DESTROYED + root_key_id, b"default")
    await provider._run(provider._with_session, lambda session: session.create_object(trace))
    assert await provider.unwrap(wrapped) == KEY
    assert [found.destroyed for found in await provider.list()] == [False]
    await provider.destroy(root_key_id)
    with pytest.raises(KeyDestroyed):
        await provider.unwrap(wrapped)
    assert [found.destroyed for found in await provider.list()] == [True]


async def test_calls_from_many_tasks_and_providers_do_not_mix(
    provider: Pkcs11RootKeys, empty_token: softhsm.SoftToken
) -> None:
    await provider.create()
    other = open_root_keys(empty_token.url)
    keys = [os.urandom(32) for _ in range(40)]
    wrapped = await asyncio.gather(*((provider, other)[i % 2].wrap(key) for i, key in enumerate(keys)))
    opened = await asyncio.gather(*((other, provider)[i % 2].unwrap(blob) for i, blob in enumerate(wrapped)))
    assert opened == keys
    await other.close()
    assert await provider.unwrap(wrapped[0]) == keys[0]


@pytest.mark.parametrize(
    "url",
    [
        "pkcs11:",
        "pkcs11:token=zegel",
        "pkcs11:token=zegel?module-path=/x.so",
        "pkcs11:token=?module-path=/x.so&pin-source=/pin",
        "pkcs11:object=zegel?module-path=/x.so&pin-source=/pin",
        "pkcs11:token=zegel?module-path=x.so&pin-source=/pin",
        "pkcs11:token=zegel?module-path=/x.so&pin-source=pin",
        "pkcs11:token=zegel?module-path=/x.so&pin-source=/pin&pin-value=1234",
    ],
)
def test_a_malformed_uri_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="PKCS#11 URI"):
        open_root_keys(url)
