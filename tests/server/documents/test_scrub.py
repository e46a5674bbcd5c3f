"""Orphans, the scrub, and removals that outlive a crash."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from support.documents_world import MIB, SPEC, World, pdf_of, rendition_of, reopen
from zegel_server import clock
from zegel_server.documents.model import UploadSpec
from zegel_server.errors import Unavailable

NOW = timedelta(0)


async def test_orphans_are_found_and_nothing_else(world: World) -> None:
    caller = world.member()
    kept = await world.upload(caller, pdf_of(5 * MIB))
    upload = await world.partly(caller, pdf_of(9 * MIB))
    await world.signing_documents.store_sealed(
        tenant_id=world.tenant_id, signature_request_id="req_1", title="Lost", data=pdf_of(5 * MIB)
    )
    for key in ("documents/stray", "documents/a/b/1-0123/000000", f"documents/x/{kept}/1-0123/000007"):
        await world.blobs.put(key, b"stray")
    before = await world.stored()
    assert [info async for info in world.scrub.orphans()] == [], "too young to be sure"
    found = sorted([info.key async for info in world.scrub.orphans(grace=NOW)])
    assert len(found) == 3 + 2
    assert await world.scrub.remove_orphans(grace=NOW) == 5
    assert await world.stored() == sorted(set(before) - set(found))
    assert await world.scrub.remove_orphans(grace=NOW) == 0
    assert await world.upload(caller, pdf_of(100), spec=UploadSpec(document_id=kept)) == kept
    assert (await world.uploads.get(caller, upload.upload_id)).persisted_size > 0


async def test_blobs_of_a_purged_document_are_orphans_until_removed(world: World) -> None:
    caller = world.member()
    document_id = await world.upload(caller, pdf_of(100))
    await world.documents.delete(caller, document_id, "")
    assert await world.scrub.remove_orphans(grace=NOW) == 0, "it can be brought back"
    await world.documents.purge(caller, document_id, "")
    assert await world.scrub.remove_orphans(grace=NOW) == 2, "its original and its rendition"
    assert await world.remover.drain() == 2
    assert await world.jobs() == []


async def test_the_scrub_tells_what_is_damaged(world: World, tmp_path: Path) -> None:
    caller = world.member()
    sizes = [100, 5 * MIB, 9 * MIB, 300, 200]
    good, flipped, cut, lying, shown = [await world.upload(caller, pdf_of(size)) for size in sizes]
    upload = await world.partly(caller, pdf_of(5 * MIB))
    assert [each.problem async for each in world.scrub.scrub()] == [""] * 6

    originals, renditions = await world.originals(), await world.renditions()

    def file_of(document_id: str, part: int, keys: Sequence[str] = originals) -> Path:
        return (
            tmp_path / "blobs" / next(key for key in keys if f"/{document_id}/" in key and key.endswith(f"/{part:06}"))
        )

    for path in (file_of(flipped, 1), file_of(upload.document_id, 0)):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x10
        path.chmod(0o600)
        path.write_bytes(data)
    file_of(cut, 2).unlink()
    file_of(shown, 0, renditions).unlink()
    file_of(lying, 0).chmod(0o600)
    file_of(lying, 0).write_bytes(file_of(good, 0).read_bytes())
    found = {each.resource_id: each async for each in world.scrub.scrub()}
    assert found[good].problem == ""
    assert found[good].size == 100 + len(rendition_of(pdf_of(100)))
    assert {key for key, each in found.items() if each.problem} == {flipped, cut, lying, shown, upload.upload_id}
    assert found[shown].problem.startswith("Of the rendition: ")


async def test_a_removal_is_tried_again_after_a_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = world.member()
    upload = await world.partly(caller, pdf_of(9 * MIB))
    await world.uploads.cancel(caller, upload.upload_id)
    delete = world.blobs.inner.delete

    async def fail(_key: str) -> None:
        raise Unavailable("No answer.")

    monkeypatch.setattr(world.blobs.inner, "delete", fail)
    assert await world.remover.drain() == 0
    (task,) = await world.jobs()
    assert (task.attempts, task.last_reason) == (1, "DEPENDENCY_UNAVAILABLE")
    monkeypatch.setattr(world.blobs.inner, "delete", delete)
    assert await world.remover.drain() == 0, "put off"
    later = clock.now() + clock.MINUTE
    monkeypatch.setattr(clock, "now", lambda: later)
    assert await world.remover.drain() == 1
    assert await world.stored() == []


@pytest.mark.faults
async def test_a_removal_survives_the_process(
    url: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = world.member()
    upload = await world.uploads.start(caller, SPEC)
    await world.partly(caller, pdf_of(13 * MIB), upload_id=upload.upload_id)
    assert len(await world.stored()) == 3
    await world.uploads.cancel(caller, upload.upload_id)
    deleted = 0
    delete = world.blobs.delete

    stalled = asyncio.Event()

    async def stall(key: str) -> None:
        nonlocal deleted
        if deleted:
            stalled.set()
            await asyncio.Event().wait()  # a process that is gone says nothing more
        deleted += 1
        await delete(key)

    world.blobs.delete = stall  # type: ignore[method-assign]
    gone = asyncio.create_task(world.remover.drain())
    await asyncio.wait_for(stalled.wait(), 60)
    again = await reopen(world, url, tmp_path)
    assert len(await again.stored()) == 2
    assert await again.remover.drain() == 0, "it may still be at work"
    later = clock.now() + clock.MINUTE
    monkeypatch.setattr(clock, "now", lambda: later)
    assert await again.remover.drain() == 1
    assert await again.stored() == []
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await again.close()
