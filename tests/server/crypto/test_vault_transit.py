"""What only a transit engine has: tokens that end, a server that is away or sealed, keys that its owner touches."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import pytest

from support import openbao
from support.stopwatch import Stopwatch
from zegel_server.crypto import KeyDestroyed, NoRootKey, WrappedKey, open_root_keys
from zegel_server.crypto import vault_transit as module
from zegel_server.crypto.vault_login import AppRole
from zegel_server.crypto.vault_transit import VaultRootKeys
from zegel_server.errors import DataLoss, Unavailable

KEY = bytes(range(32))


@pytest.fixture
def vault_url(bao: openbao.Bao) -> str:
    return bao.url()


@pytest.fixture
async def provider(vault_url: str) -> AsyncIterator[VaultRootKeys]:
    provider = cast("VaultRootKeys", open_root_keys(vault_url))
    yield provider
    await provider.close()


def mount_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def key_of(url: str, root_key_id: str, purpose: str = "default") -> str:
    return f"{mount_of(url)}/keys/zegel.{purpose}.{root_key_id}"


def secret_of(url: str) -> str:
    return Path(unquote(url.partition("secret-id-file=")[2])).read_text().strip()


async def test_a_root_key_cannot_leave_the_engine(provider: VaultRootKeys, vault_url: str, bao: openbao.Bao) -> None:
    found = bao.call("GET", key_of(vault_url, await provider.create()))["data"]
    assert (found["type"], found["exportable"], found["allow_plaintext_backup"]) == ("aes256-gcm96", False, False)
    assert found["deletion_allowed"] is False


async def test_a_blob_is_bound_to_its_root_key_and_purpose(
    provider: VaultRootKeys, vault_url: str, bao: openbao.Bao
) -> None:
    """Transit's own `decrypt`, asked by somebody else's client, opens it with exactly that associated data."""
    root_key_id = await provider.create("ten_1")
    wrapped = await provider.wrap(KEY, "ten_1")
    path = f"{mount_of(vault_url)}/decrypt/zegel.ten_1.{root_key_id}"
    ciphertext = wrapped.blob.decode()
    right = module._associated(root_key_id, "ten_1")
    assert "errors" in bao.call("POST", path, ok=False, ciphertext=ciphertext)
    assert "errors" in bao.call(
        "POST", path, ok=False, ciphertext=ciphertext, associated_data=module._associated(root_key_id, "ten_2")
    )
    opened = bao.call("POST", path, ciphertext=ciphertext, associated_data=right)
    assert opened["data"]["plaintext"] == module._base64(KEY)


@pytest.mark.faults
async def test_a_server_that_is_killed_comes_back_without_a_restart_of_ours(
    provider: VaultRootKeys, bao: openbao.Bao
) -> None:
    await provider.create()
    wrapped = await provider.wrap(KEY)
    await asyncio.to_thread(bao.stop)
    try:
        for call in (lambda: provider.unwrap(wrapped), lambda: provider.wrap(KEY), provider.list, provider.ensure):
            with pytest.raises(Unavailable) as caught:
                await call()
            assert caught.value.metadata == {"dependency": "key_provider"}
    finally:
        await asyncio.to_thread(bao.start)
    assert await provider.unwrap(wrapped) == KEY


@pytest.mark.faults
async def test_a_sealed_server_is_unavailable_until_it_is_unsealed(provider: VaultRootKeys, bao: openbao.Bao) -> None:
    await provider.create()
    wrapped = await provider.wrap(KEY)
    await asyncio.to_thread(bao.seal)
    try:
        for call in (lambda: provider.unwrap(wrapped), lambda: provider.wrap(KEY), provider.list, provider.ensure):
            with pytest.raises(Unavailable):
                await call()
    finally:
        await asyncio.to_thread(bao.unseal)
    assert await provider.unwrap(wrapped) == KEY


@pytest.mark.faults
async def test_it_is_used_while_the_server_is_killed_and_sealed(provider: VaultRootKeys, bao: openbao.Bao) -> None:
    """Every call either answers rightly or is unavailable; nothing is made twice or lost."""
    await provider.create()
    wrapped = await provider.wrap(KEY)
    over, answered, refused = False, 0, 0

    async def use() -> None:
        nonlocal answered, refused
        while not over:
            try:
                assert await provider.unwrap(wrapped) == KEY
                assert await provider.unwrap(await provider.wrap(KEY)) == KEY
                answered += 1
            except Unavailable:
                refused += 1
                await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(use()) for _ in range(4)]
    for trouble in ((bao.stop, bao.start), (bao.seal, bao.unseal)):
        for step in trouble:
            await asyncio.sleep(0.3)
            await asyncio.to_thread(step)
    await asyncio.sleep(0.5)
    over = True
    await asyncio.gather(*tasks)
    assert answered > 10
    assert refused > 2
    assert len(await provider.list()) == 1


@pytest.mark.faults
async def test_a_token_that_was_revoked_is_replaced(
    provider: VaultRootKeys, bao: openbao.Bao, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOGIN_AGAIN_S", 0.0)
    await provider.create()
    wrapped = await provider.wrap(KEY)
    before = provider._client.token
    bao.call("POST", "auth/token/revoke", token=before)
    assert await provider.unwrap(wrapped) == KEY
    assert provider._client.token != before


@pytest.mark.faults
async def test_a_token_is_replaced_before_it_ends(bao: openbao.Bao) -> None:
    provider = cast("VaultRootKeys", open_root_keys(bao.url(ttl="2s")))
    await provider.create()
    wrapped = await provider.wrap(KEY)
    seen = set[str]()
    end = time.monotonic() + 4.5
    while time.monotonic() < end:
        assert await provider.unwrap(wrapped) == KEY
        seen.add(provider._client.token)
        await asyncio.sleep(0.05)
    assert 2 <= len(seen) <= 5
    await provider.close()


@pytest.mark.faults
async def test_a_refusal_by_policy_makes_no_storm_of_logins_and_heals(
    provider: VaultRootKeys, vault_url: str, bao: openbao.Bao, monkeypatch: pytest.MonkeyPatch
) -> None:
    await provider.create()
    wrapped = await provider.wrap(KEY)
    mount, logins = mount_of(vault_url), 0
    login = AppRole.__call__

    def counted(role: AppRole, client: Any) -> tuple[str, float]:
        nonlocal logins
        logins += 1
        return login(role, client)

    monkeypatch.setattr(AppRole, "__call__", counted)
    bao.call("POST", f"sys/policies/acl/{mount}", policy='path "nothing" { capabilities = ["read"] }')
    for _ in range(20):
        with pytest.raises(Unavailable):
            await provider.unwrap(wrapped)
    assert logins <= 1
    bao.call("POST", f"sys/policies/acl/{mount}", policy=openbao.POLICY.format(mount=mount))
    assert await provider.unwrap(wrapped) == KEY


async def test_a_token_in_a_file_is_read_again_once_it_is_refused(bao: openbao.Bao, tmp_path: Path) -> None:
    mount = mount_of(bao.url())
    path = tmp_path / "token"

    def fresh() -> str:
        return str(bao.call("POST", "auth/token/create", policies=[mount])["auth"]["client_token"])

    path.write_text(first := fresh())
    provider = open_root_keys(f"vault://127.0.0.1:{bao.port}/{mount}?ca-file={bao.folder / 'ca.pem'}&token-file={path}")
    await provider.create()
    wrapped = await provider.wrap(KEY)
    bao.call("POST", "auth/token/revoke", token=first)
    with pytest.raises(Unavailable):
        await provider.unwrap(wrapped)
    path.write_text(fresh())
    assert await provider.unwrap(wrapped) == KEY
    path.unlink()
    assert await provider.unwrap(wrapped) == KEY
    await provider.close()
    missing = open_root_keys(f"vault://127.0.0.1:{bao.port}/{mount}?ca-file={bao.folder / 'ca.pem'}&token-file={path}")
    with pytest.raises(Unavailable):
        await missing.list()
    await missing.close()


@pytest.mark.faults
async def test_a_key_that_its_owner_deleted_is_lost_and_the_others_stay(
    provider: VaultRootKeys, vault_url: str, bao: openbao.Bao
) -> None:
    gone, kept = await provider.create("ten_1"), await provider.create("ten_2")
    wrapped, other = await provider.wrap(KEY, "ten_1"), await provider.wrap(KEY, "ten_2")
    bao.call("POST", f"{key_of(vault_url, gone, 'ten_1')}/config", deletion_allowed=True)
    bao.call("DELETE", key_of(vault_url, gone, "ten_1"))
    with pytest.raises(DataLoss):
        await provider.unwrap(wrapped)
    with pytest.raises(NoRootKey):
        await provider.primary("ten_1")
    assert (await provider.unwrap(other), other.root_key_id) == (KEY, kept)


@pytest.mark.faults
async def test_a_key_that_its_owner_put_away_is_no_loss(
    provider: VaultRootKeys, vault_url: str, bao: openbao.Bao
) -> None:
    """OpenBao can take a key away for a while; and a version can be ruled out. Neither is damage."""
    root_key_id = await provider.create()
    wrapped = await provider.wrap(KEY)
    key = key_of(vault_url, root_key_id)
    bao.call("DELETE", f"{key}/soft-delete")
    with pytest.raises(Unavailable):
        await provider.unwrap(wrapped)
    bao.call("POST", f"{key}/soft-delete-restore")
    assert await provider.unwrap(wrapped) == KEY
    bao.call("POST", f"{key}/rotate")
    assert await provider.unwrap(wrapped) == KEY
    bao.call("POST", f"{key}/config", min_decryption_version=2)
    with pytest.raises(Unavailable):
        await provider.unwrap(wrapped)
    bao.call("POST", f"{key}/config", min_decryption_version=1)
    assert await provider.unwrap(wrapped) == KEY


async def test_what_transit_takes_for_another_spelling_is_damage(provider: VaultRootKeys) -> None:
    await provider.create()
    wrapped = await provider.wrap(KEY)
    assert wrapped.blob.startswith(b"vault:v1:")
    for blob in (wrapped.blob.replace(b"v1", b"v0"), wrapped.blob + b"\n", wrapped.blob.replace(b"v1", b"v2")):
        with pytest.raises(DataLoss):
            await provider.unwrap(WrappedKey(wrapped.root_key_id, blob))


@pytest.mark.faults
async def test_a_crash_between_trace_and_key_leaves_the_key_and_can_be_finished(provider: VaultRootKeys) -> None:
    root_key_id = await provider.create()
    wrapped = await provider.wrap(KEY)
    await provider._run(provider._make_key, f"zegel-destroyed.default.{root_key_id}")
    assert await provider.unwrap(wrapped) == KEY
    assert [found.destroyed for found in await provider.list()] == [False]
    await provider.destroy(root_key_id)
    with pytest.raises(KeyDestroyed):
        await provider.unwrap(wrapped)
    assert [found.destroyed for found in await provider.list()] == [True]


async def test_many_destroy_and_ensure_at_once(provider: VaultRootKeys, vault_url: str) -> None:
    other = open_root_keys(vault_url)
    first = await provider.ensure("ten_1")
    await asyncio.gather(*(each.destroy(first) for each in (provider, other) * 3))
    again = await asyncio.gather(*(each.ensure("ten_1") for each in (provider, other) * 4))
    assert len(set(again)) == 1
    assert again[0] > first
    assert [found.destroyed for found in await other.list()] == [True, False]
    await other.close()


async def test_two_prefixes_of_an_engine_do_not_meet(provider: VaultRootKeys, vault_url: str, bao: openbao.Bao) -> None:
    await provider.create()
    mount = mount_of(vault_url)
    bao.call("POST", f"sys/policies/acl/{mount}", policy=openbao.POLICY.format(mount=mount).replace("zegel", "z"))
    bao.call("POST", f"{mount}/keys/somebody-elses.key", type="aes256-gcm96")
    other = open_root_keys(vault_url + "&prefix=zother")
    assert await other.list() == []
    with pytest.raises(NoRootKey):
        await other.primary()
    await other.close()
    assert len(await provider.list()) == 1


@pytest.mark.faults
async def test_a_wrong_engine_authority_or_secret_is_unavailable(bao: openbao.Bao, tmp_path: Path) -> None:
    url = bao.url()
    (tmp_path / "other.pem").write_bytes((bao.folder / "server.pem").read_bytes())
    (tmp_path / "secret").write_text("not-the-secret")
    ca, secret = url.partition("ca-file=")[2].partition("&")[0], url.partition("secret-id-file=")[2]
    for wrong in (
        url.replace(f"/{mount_of(url)}?", "/nothing-here?"),
        url.replace(f"?ca-file={ca}&", "?"),
        url.replace(secret, str(tmp_path / "secret")),
        url.replace(secret, str(tmp_path / "missing")),
        url + "&namespace=nobody",
    ):
        provider = open_root_keys(wrong)
        for call in (provider.list, provider.create, lambda: provider.wrap(KEY)):  # noqa: B023 - called here
            with pytest.raises(Unavailable):
                await call()
        await provider.close()


@pytest.mark.faults
async def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        provider = cast("VaultRootKeys", open_root_keys(f"vault+http://127.0.0.1:{port}/transit?token-file=/dev/null"))
        provider._timeout = 0.5
        async with Stopwatch() as watch:
            results = await asyncio.gather(*(provider.list() for _ in range(12)), return_exceptions=True)
            assert await watch.seconds() < 3
        assert {type(each) for each in results} == {Unavailable}
        assert await asyncio.wait_for(asyncio.to_thread(threading.get_ident), 15)  # others' threads are not held up
    await asyncio.gather(provider.close(), return_exceptions=True)


@pytest.mark.faults
@pytest.mark.parametrize("status", ["200 OK", "302 Found", "429 Slow", "500 Oops", "502 Bad", "503 Away"])
async def test_an_answer_that_is_none_is_unavailable(tmp_path: Path, status: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"<html>a proxy says hello</html>"
        head = f"HTTP/1.1 {status}\r\nLocation: http://127.0.0.1:9/\r\nRetry-After: 600\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    (tmp_path / "token").write_text("t0ken-of-the-test")
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider = open_root_keys(f"vault+http://127.0.0.1:{port}/transit?token-file={tmp_path / 'token'}")
    for call in (provider.list, provider.create, lambda: provider.wrap(KEY)):
        with pytest.raises(Unavailable):
            await call()
    await provider.close()
    server.close()
    await server.wait_closed()


@pytest.mark.faults
async def test_neither_token_nor_secret_is_told(
    provider: VaultRootKeys, vault_url: str, bao: openbao.Bao, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await provider.create()
    wrapped = await provider.wrap(KEY)
    secret = secret_of(vault_url)
    told = []
    await asyncio.to_thread(bao.seal)
    try:
        with pytest.raises(Unavailable) as caught:
            await provider.unwrap(wrapped)
        cause: BaseException | None = caught.value
        while cause is not None:
            told.append(f"{cause} {cause!r}")
            cause = cause.__cause__
    finally:
        await asyncio.to_thread(bao.unseal)
    text = caplog.text + "".join(told)
    for hidden in (secret, provider._client.token, module._base64(KEY), wrapped.blob.decode()):
        assert len(hidden) > 8
        assert hidden not in text


@pytest.mark.parametrize(
    "url",
    [
        "vault:",
        "vault://host:8200/transit",
        "vault://host:8200?token-file=/t",
        "vault:///transit?token-file=/t",
        "vault://host:8200/transit?token-file=t",
        "vault://host:8200/transit?token=secret",
        "vault://user:secret@host:8200/transit?token-file=/t",
        "vault://host:8200/transit?role-id-file=/r",
        "vault://host:8200/transit?token-file=/t&role-id-file=/r&secret-id-file=/s",
        "vault://host:8200/tran..sit?token-file=/t",
        "vault://host:8200/transit?token-file=/t&prefix=a.b",
        "vault+http://vault.example.com:8200/transit?token-file=/t",
    ],
)
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="Vault URL") as caught:
        open_root_keys(url)
    assert "secret@" not in str(caught.value)
