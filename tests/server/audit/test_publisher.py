"""What is published is the log that was signed, in the form that anybody's tools read; and nothing else ever is."""

import asyncio
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.audit_world import AuditWorld, open_world, prepare
from support.merkle_log import MadeLog
from zegel.evidence.log_sources import FolderSource
from zegel.evidence.mirror import Follower, verify_log
from zegel.evidence.tiles import ENTRIES, TILE_WIDTH, Tile
from zegel_server.audit.publisher import Publisher, _new_file, _sweep, full_tiles, upper_tiles
from zegel_server.errors import DataLoss

WRITER = """
import sys, time
from pathlib import Path
from zegel_server.audit.publisher import _new_file
print(_new_file(Path(sys.argv[1]))[0], flush=True)
time.sleep(600)
"""
"""Dies while it writes a file."""


@pytest.fixture
async def published(url: str, tmp_path: Path) -> AuditWorld:
    """An installation that publishes; nothing runs yet."""
    await prepare(url)
    world = await open_world(url, tmp_path, published=True)
    await world.log.create()
    return world


def publisher_of(world: AuditWorld) -> Publisher:
    assert world.publisher is not None
    return world.publisher


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


async def add(world: AuditWorld, count: int, request: tuple[str, str] = ("", "")) -> None:
    await world.record(count=count, request=request)
    await world.sequencer.flush()


async def test_what_is_published_verifies_by_itself(published: AuditWorld) -> None:
    request = await published.add_request("mem_1")
    keys = [published.log.key.verifier]
    source, follower = FolderSource(published.files), Follower(keys)
    for count in (1, 2, 253, 1, 200, 600):
        await add(published, count, request)
        head = await publisher_of(published).publish()
        assert head is not None
        assert verify_log(source, keys).size == head.size
        assert follower.follow(source).root == head.root
    await published.close()


async def test_publishing_again_changes_nothing(published: AuditWorld) -> None:
    await add(published, 300)
    await publisher_of(published).publish()
    before = files_in(published.files)
    other = await published.another(published=True)
    for again in (published, other):
        await publisher_of(again).publish()
    assert files_in(published.files) == before
    await other.close()
    await published.close()


async def test_full_tiles_take_the_place_of_partial_ones_in_the_end(published: AuditWorld) -> None:
    for count in (10, 5):
        await add(published, count)
        await publisher_of(published).publish()
    names = files_in(published.files)
    # Who has read the older checkpoint still finds its tile.
    assert {"tile/0/000.p/10", "tile/0/000.p/15", "tile/entries/000.p/10", "tile/entries/000.p/15"} < names.keys()
    await add(published, 300)
    await publisher_of(published).publish()
    names = files_in(published.files)
    assert not [name for name in names if "/000.p/" in name and not name.startswith("tile/1")]
    assert {
        "tile/0/000",
        "tile/entries/000",
        "tile/0/001.p/59",
        "tile/entries/001.p/59",
        "tile/1/000.p/1",
    } < names.keys()
    await published.close()


async def test_a_crash_in_the_middle_is_made_up_for(published: AuditWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    await add(published, 300)
    publisher = publisher_of(published)
    await publisher.publish()
    await add(published, 600)
    original, left = publisher._replace, 3

    def dying(path: Path, data: bytes) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        original(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(publisher, "_replace", dying)
        with pytest.raises(OSError, match="No space"):
            await publisher.publish()
    keys = [published.log.key.verifier]
    assert verify_log(FolderSource(published.files), keys).size == 300
    other = await published.another(published=True)
    await other.sequencer.start()
    await other.close()
    assert verify_log(FolderSource(published.files), keys).size == 900
    assert not [name for name in files_in(published.files) if Path(name).name.startswith(".")]
    await published.close()


async def test_what_killed_processes_left_is_removed_and_nothing_of_the_living(published: AuditWorld) -> None:
    await add(published, 300)
    await publisher_of(published).publish()
    whole = files_in(published.files)
    tiles = published.files / "tile/0/001.p"
    left = [tiles / ".0123456789abcdef", published.files / ".fedcba9876543210"]
    for path in left:
        path.write_bytes(b"half")
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop
        [sys.executable, "-c", WRITER, str(tiles)], stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        left.append(Path(killed.stdout.readline().strip()))
        assert left[-1].exists()
        others = [tiles / ".not-ours", tiles / ".0123456789abcdef.txt"]
        for path in others:
            path.write_bytes(b"")
        living, descriptor = _new_file(tiles)
        _sweep(published.files)
        assert left[-1].exists(), "its writer lives"
        killed.kill()
    await published.sequencer.start()
    async with asyncio.timeout(30):
        while any(path.exists() for path in left):  # noqa: ASYNC110 - files
            await asyncio.sleep(0.02)
    assert living.exists()
    os.close(descriptor)
    await published.close()
    for path in (living, *others):
        path.unlink()
    assert files_in(published.files) == whole


def test_a_file_that_is_swept_as_it_is_made_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[Path] = []
    real = fcntl.flock

    def flock(descriptor: int, how: int) -> None:
        if not swept:
            swept.extend(tmp_path.iterdir())
            monkeypatch.setattr(fcntl, "flock", real)
            _sweep(tmp_path)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    path, descriptor = _new_file(tmp_path)
    os.close(descriptor)
    assert swept
    assert list(tmp_path.iterdir()) == [path]


async def test_what_was_altered_is_not_published(published: AuditWorld) -> None:
    await add(published, 10)
    await publisher_of(published).publish()
    await add(published, 10)
    before = files_in(published.files)
    await published.tamper(
        "UPDATE audit_events SET leaf = (SELECT leaf FROM audit_events WHERE leaf_index = 3) WHERE leaf_index = 15"
    )
    with pytest.raises(DataLoss, match="not what was signed"):
        await publisher_of(published).publish()
    assert files_in(published.files) == before
    await published.close()


async def test_a_published_checkpoint_never_goes_back(published: AuditWorld) -> None:
    await add(published, 5)
    slow = await published.another(published=True)
    await slow.log.head()
    early = await slow.log.head()
    await add(published, 5)
    await publisher_of(published).publish()
    publisher_of(slow)._finish(0, early)
    found = await publisher_of(slow).published()
    assert found is not None
    assert found.size == 10
    await slow.close()
    await published.close()


async def test_a_running_server_publishes_by_itself(published: AuditWorld) -> None:
    await published.sequencer.start()
    await published.record(count=3)
    async with asyncio.timeout(30):
        while (found := await publisher_of(published).published()) is None or found.size < 3:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.02)
    await published.close()
    assert verify_log(FolderSource(published.files), [published.log.key.verifier]).size == 3


async def test_a_published_checkpoint_of_another_log_stops_the_start(published: AuditWorld, tmp_path: Path) -> None:
    other = MadeLog()
    other.add(b"{}")
    (tmp_path / "log").mkdir(exist_ok=True)
    (tmp_path / "log/checkpoint").write_bytes(other.checkpoint())
    with pytest.raises(DataLoss, match="not signed by the log's key"):
        await published.sequencer.start()
    await published.close()


@given(st.integers(0, 200_000), st.integers(0, 70_000))
def test_the_tiles_to_publish_are_those_that_changed(before: int, more: int) -> None:
    """Against the definition: a tile of a tree is each group of up to 256 hashes of a level."""

    def tiles(size: int) -> set[Tile]:
        found, level = set(), 1
        while size >> 8 * level:
            count = size >> 8 * level
            found |= {Tile(level, i, min(TILE_WIDTH, count - i * TILE_WIDTH)) for i in range(-(-count // TILE_WIDTH))}
            level += 1
        return found

    size = before + more
    assert set(upper_tiles(before, size)) == tiles(size) - tiles(before)
    full = {tile for tile in tiles(size) - tiles(before) if tile.width == TILE_WIDTH}
    lowest = range(before // TILE_WIDTH, size // TILE_WIDTH)
    full |= {Tile(level, index) for level in (0, ENTRIES) for index in lowest}
    assert set(full_tiles(before, size)) == full
