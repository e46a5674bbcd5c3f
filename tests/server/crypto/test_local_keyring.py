"""What only a keyring file has: permissions, locks, flushes, and other processes."""
# ruff: noqa: ASYNC240

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zegel_server.crypto import KeyDestroyed, local_keyring
from zegel_server.crypto.local_keyring import LocalKeyring
from zegel_server.errors import DataLoss, Unavailable

KEY = bytes(range(32))
CALLS = ("open", "fdopen", "fsync", "replace", "stat", "fstat", "write", "unlink")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


class FailingSystem(SimpleNamespace):
    """Stands in for `os`, and lets the Nth call fail."""

    def __init__(self, fail_at: int) -> None:
        super().__init__(**{name: getattr(os, name) for name in dir(os) if not name.startswith("__")})
        self.left = fail_at
        for name in CALLS:
            setattr(self, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                if name == "fdopen":  # It fails before it owns the descriptor.
                    os.close(args[0])
                raise OSError(errno.EIO, "made to fail")
            return call(*args, **kwargs)

        return counted


@pytest.mark.faults
@pytest.mark.parametrize("operation", ["create", "destroy"])
async def test_a_change_fails_at_each_call_until_it_passes(
    path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    failures = 0
    for fail_at in range(1, 100):
        path.unlink(missing_ok=True)
        keyring = LocalKeyring(path)
        old = await keyring.create()
        wrapped = await keyring.wrap(KEY)
        before = path.read_bytes()
        system = FailingSystem(fail_at)
        acknowledged = True
        with monkeypatch.context() as patch:
            patch.setattr(local_keyring, "os", system)
            try:
                await (keyring.create() if operation == "create" else keyring.destroy(old))
            except Unavailable:
                failures += 1
                acknowledged = False

        fresh = LocalKeyring(path)
        listed = await fresh.list()
        assert listed == await keyring.list()
        if operation == "create":
            assert len(listed) in ({2} if acknowledged else {1, 2})
            assert await fresh.unwrap(wrapped) == KEY
        elif path.read_bytes() == before:
            assert not acknowledged
            assert await fresh.unwrap(wrapped) == KEY
        else:
            with pytest.raises(KeyDestroyed):
                await fresh.unwrap(wrapped)
        assert not list(path.parent.glob(".*"))
        if system.left > 0:
            break
    else:
        pytest.fail("the change never passed")
    assert failures >= 6


async def test_only_the_owner_can_read_it(path: Path) -> None:
    await LocalKeyring(path).create()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644])
async def test_a_file_that_others_can_touch_is_not_used(path: Path, mode: int) -> None:
    await LocalKeyring(path).create()
    path.chmod(mode)
    keyring = LocalKeyring(path)
    for call in (keyring.primary, keyring.create, keyring.list):
        with pytest.raises(Unavailable, match="chmod 600"):
            await call()
    path.chmod(0o600)
    await keyring.primary()


async def test_a_destroyed_key_is_gone_from_the_file_and_from_the_file_it_replaced(path: Path, tmp_path: Path) -> None:
    keyring = LocalKeyring(path)
    root_key_id = await keyring.create()
    secret = json.loads(path.read_bytes())["keys"][0]["key"]
    old = tmp_path / "old-inode"
    old.hardlink_to(path)
    await keyring.destroy(root_key_id)
    assert secret not in path.read_text()
    assert secret.encode() not in old.read_bytes()
    assert json.loads(path.read_bytes())["keys"] == [{"id": root_key_id, "purpose": "default", "destroyed": True}]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"format": "zegel-keyring-v2", "keys": []}',
        b'{"format": "zegel-keyring-v1"}',
        b'{"format": "zegel-keyring-v1", "keys": [1]}',
        *(
            b'{"format": "zegel-keyring-v1", "keys": [{' + entry + b"}]}"
            for entry in (
                b'"id": "x", "purpose": "p", "destroyed": true',
                b'"id": "rk-000000000001-00000000000000000000", "purpose": "p"',
                b'"id": "rk-000000000001-00000000000000000000", "purpose": "p", "key": "AA=="',
                b'"id": "rk-000000000001-00000000000000000000", "purpose": "p", "key": "\xff"',
                b'"id": "rk-000000000001-00000000000000000000", "purpose": "/", "destroyed": true',
            )
        ),
    ],
)
async def test_a_damaged_file_is_a_loss_and_is_not_replaced(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    path.chmod(0o600)
    keyring = LocalKeyring(path)
    for call in (keyring.create, keyring.ensure, keyring.primary, keyring.list):
        with pytest.raises(DataLoss) as caught:
            await call()
        assert caught.value.__cause__ is None
    assert path.read_bytes() == text


async def test_a_missing_folder_is_unavailable_until_it_is_there(tmp_path: Path) -> None:
    keyring = LocalKeyring(tmp_path / "later" / "keyring.json")
    with pytest.raises(Unavailable):
        await keyring.create()
    (tmp_path / "later").mkdir()
    await keyring.create()


async def test_a_keyring_behind_a_symbolic_link_is_not_read(path: Path, tmp_path: Path) -> None:
    await LocalKeyring(tmp_path / "real.json").create()
    path.symlink_to(tmp_path / "real.json")
    with pytest.raises(Unavailable):
        await LocalKeyring(path).primary()


CREATE_MANY = """
import asyncio, sys
from pathlib import Path
from zegel_server.crypto.local_keyring import LocalKeyring

async def main():
    keyring = LocalKeyring(Path(sys.argv[1]))
    for _ in range(20):
        print(await keyring.create(sys.argv[2]), flush=True)

asyncio.run(main())
"""


async def test_several_processes_lose_none_of_each_others_keys(path: Path) -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    made: list[str] = []

    def run(purpose: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", CREATE_MANY, str(path), purpose],
            capture_output=True,
            text=True,
            check=True,
            env=env,
            timeout=60,
        )
        made.extend(done.stdout.split())

    threads = [threading.Thread(target=run, args=(f"tenant-{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 60
    assert sorted(made) == [found.root_key_id for found in await LocalKeyring(path).list()]


async def test_no_key_shows_in_a_representation(path: Path) -> None:
    keyring = LocalKeyring(path)
    await keyring.create()
    wrapped = await keyring.wrap(KEY)
    secret = json.loads(path.read_bytes())["keys"][0]["key"]
    shown = repr(keyring) + repr(vars(keyring)) + repr(wrapped) + repr(await keyring.list())
    assert secret not in shown
    assert wrapped.blob.hex() not in shown
