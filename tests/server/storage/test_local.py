"""What only a disk has: folders, permissions, flushes, and errors at every call."""

import asyncio
import errno
import mmap
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zegel_server.errors import AlreadyExists, ResourceExhausted, Unavailable, ZegelError
from zegel_server.storage import local, open_blob_store
from zegel_server.storage.local import LocalBlobStore

DATA = bytes(range(256)) * 1024

CALLS = ("open", "write", "fsync", "close", "link", "unlink", "mkdir", "rmdir", "fstat", "pread", "stat", "scandir")
"""The calls to the system that an operation of the store is made of."""


ENV = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
"""What a Python process of a test needs to find the server."""


class FailingSystem(SimpleNamespace):
    """Stands in for `os`, and lets the Nth call fail."""

    def __init__(self, fail_at: int, code: int) -> None:
        super().__init__(**{name: getattr(os, name) for name in dir(os) if name.isupper() or name in CALLS})
        self.left = fail_at
        self.code = code
        for name in CALLS:
            setattr(self, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                if name == "close":  # Linux closes the file even when it reports an error.
                    call(*args, **kwargs)
                if name == "write":  # Half of it arrives before the disk fails.
                    call(args[0], args[1][: len(args[1]) // 2])
                raise OSError(self.code, "made to fail")
            return call(*args, **kwargs)

        return counted


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


def folders(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("[!.]*/") if ".incoming" not in path.parts}


def files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file())


async def outcome(call: Awaitable[object]) -> ZegelError | None:
    try:
        await call
    except ZegelError as error:
        return error
    return None


@pytest.mark.faults
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("folder", ["", "a/b/"])
async def test_put_fails_at_each_call_until_it_passes(
    root: Path, monkeypatch: pytest.MonkeyPatch, folder: str, code: int
) -> None:
    failures = 0
    for fail_at in range(1, 100):
        key = f"{folder}{fail_at}"
        store = LocalBlobStore(root)
        system = FailingSystem(fail_at, code)
        with monkeypatch.context() as patch:
            patch.setattr(local, "os", system)
            error = await outcome(store.put(key, DATA))
        acknowledged = error is None
        if error:
            failures += 1
            assert type(error) is (Unavailable if code == errno.EIO else ResourceExhausted)
            assert str(root) not in str(error)
        assert await store.size(key) in ({len(DATA)} if acknowledged else {None, len(DATA)})
        await store.put(key, DATA)
        assert await store.get(key) == DATA
        await store.delete(key)
        await store.close()
        assert list(files(root)) == []
        if system.left > 0:
            break
    else:
        pytest.fail("put never passed")
    assert failures >= 6


@pytest.mark.faults
@pytest.mark.parametrize("operation", ["get", "size", "delete", "list"])
async def test_the_other_operations_fail_at_each_call_until_they_pass(
    root: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    async def run(store: LocalBlobStore) -> object:
        if operation == "list":
            return [info.key async for info in store.list()]
        return await getattr(store, operation)("a/b/c")

    failures = 0
    for fail_at in range(1, 100):
        store = LocalBlobStore(root)
        await store.put("a/b/c", DATA)
        system = FailingSystem(fail_at, errno.EIO)
        with monkeypatch.context() as patch:
            patch.setattr(local, "os", system)
            error = await outcome(run(store))
        failures += error is not None
        assert type(error) in {Unavailable, type(None)}
        assert await run(store) == {"get": DATA, "size": len(DATA), "delete": None, "list": ["a/b/c"]}[operation]
        await store.close()
        if system.left > 0:
            break
    else:
        pytest.fail(f"{operation} never passed")
    assert failures >= 1


async def test_a_short_write_is_continued(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = FailingSystem(0, 0)
    system.write = lambda descriptor, data: os.write(descriptor, data[:1000])
    monkeypatch.setattr(local, "os", system)
    store = LocalBlobStore(root)
    await store.put("a", DATA)
    await store.close()
    assert (root / "a").read_bytes() == DATA


FILE_LIMIT = """
import asyncio, resource, sys
from pathlib import Path
from zegel_server.errors import ResourceExhausted
from zegel_server.storage.local import LocalBlobStore

async def main():
    store = LocalBlobStore(Path(sys.argv[1]))
    await store.put("small", b"x" * 1000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try:
        await store.put("large", b"x" * 200_000)
    except ResourceExhausted as error:
        print(error.reason, await store.size("large"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.put("large", b"x" * 200_000)
    print(await store.size("large"))
    await store.close()

asyncio.run(main())
"""


@pytest.mark.faults
def test_a_real_limit_is_reported_as_full_and_gone_without_a_restart(root: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, str(root)], capture_output=True, text=True, check=False, env=ENV, timeout=60
    )
    assert done.stdout.splitlines() == ["STORAGE_FULL None", "200000"], done.stderr


WRITE_FOREVER = """
import asyncio, sys
from pathlib import Path
from zegel_server.storage.local import LocalBlobStore

async def main():
    store = LocalBlobStore(Path(sys.argv[1]))
    number = 0
    while True:
        await asyncio.gather(*(store.put(f"doc/{number + i}", bytes([i]) * 500_000) for i in range(4)))
        number += 4
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.faults
async def test_a_killed_writer_leaves_whole_objects_and_nothing_else(root: Path) -> None:
    for round_ in range(3):
        with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop
            [sys.executable, "-c", WRITE_FOREVER, str(root)],
            stdout=subprocess.PIPE,
            text=True,
            env=ENV,
        ) as writer:
            assert writer.stdout
            acknowledged = int(writer.stdout.readline())
            await asyncio.sleep(0.013 * (round_ + 1))
            writer.kill()
            acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
        store = LocalBlobStore(root)
        found = {info.key: info.size async for info in store.list()}
        assert set(found.values()) == {500_000}
        for number in range(acknowledged):
            assert await store.get(f"doc/{number}") == bytes([number % 4]) * 500_000
        for key in found:
            await store.delete(key)
        await store.close()
        assert list(files(root)) == []


async def test_another_processs_temporary_files_are_left_alone(root: Path) -> None:
    first = LocalBlobStore(root)
    second = LocalBlobStore(root)
    await first.put("a", DATA)
    await second.put("b", DATA)
    await second.close()
    assert await first.get("b") == DATA
    await first.put("c", DATA)
    await first.close()


async def test_only_the_owner_can_read(root: Path) -> None:
    store = LocalBlobStore(root)
    await store.put("a/b", DATA)
    await store.close()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (root, root / "a")} == {0o700}
    assert stat.S_IMODE((root / "a/b").stat().st_mode) == 0o600


async def test_every_acknowledged_object_was_flushed_with_its_folders(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    system = FailingSystem(0, 0)

    def fsync(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        os.fsync(descriptor)

    system.fsync = fsync
    monkeypatch.setattr(local, "os", system)
    store = LocalBlobStore(root)
    await store.put("a/b/c", DATA)
    assert flushed[1:] == [str(root), str(root / "a"), str(root / "a/b")]
    assert flushed[0].startswith(str(root / ".incoming"))

    flushed.clear()
    await store.put("a/b/c", DATA)
    assert str(root / "a/b") in flushed
    await store.close()


async def test_an_object_is_not_read_through_a_symbolic_link(root: Path, tmp_path: Path) -> None:
    store = LocalBlobStore(root)
    secret = tmp_path / "secret"
    secret.write_bytes(DATA)
    (root / "link").symlink_to(secret)
    with pytest.raises(Unavailable):
        await store.get("link")
    with pytest.raises((Unavailable, AlreadyExists)):
        await store.put("link", b"other")
    assert secret.read_bytes() == DATA
    await store.close()


async def test_a_root_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable):
        LocalBlobStore(tmp_path / "file" / "blobs")


async def test_deleting_the_last_object_removes_its_folders(root: Path) -> None:
    store = LocalBlobStore(root)
    await store.put("a/b/c", DATA)
    await store.put("a/d", DATA)
    await store.delete("a/b/c")
    assert folders(root) == {"a"}
    await store.delete("a/d")
    assert folders(root) == set()
    await store.close()
    await store.close()


@pytest.mark.parametrize(
    "url", ["", "blobs", "file:blobs", "file://host/blobs", "file:///", "file:///x?y", "ftp://host/x"]
)
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="blob store"):
        open_blob_store(url)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 4 << 20, (4 << 20) - 4096])
async def test_large_objects_are_stored_whole_wherever_they_lie_in_memory(root: Path, aligned: bool, size: int) -> None:
    memory = mmap.mmap(-1, size + 1)
    memory[:] = os.urandom(size + 1)
    data = memoryview(memory)[0 if aligned else 1 :][:size]
    store = LocalBlobStore(root)
    await store.put("a", data)
    await store.put("a", data)
    assert await store.get("a") == data
    await store.close()
    assert (root / "a").read_bytes() == data


async def test_a_file_system_that_has_no_way_past_its_cache_is_written_to(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def write(descriptor: int, data: memoryview) -> int:
        calls.append(len(data))
        if len(calls) == 1:
            raise OSError(errno.EINVAL, "no direct writes")
        return os.write(descriptor, data)

    system = FailingSystem(0, 0)
    system.write = write
    monkeypatch.setattr(local, "os", system)
    store = LocalBlobStore(root)
    await store.put("a", bytes(1 << 20))
    await store.close()
    assert calls == [1 << 20, 1 << 20]
    assert (root / "a").read_bytes() == bytes(1 << 20)
