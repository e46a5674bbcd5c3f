"""Servers are started twice and killed anywhere: nothing acknowledged is lost, and there is one log.

``ZEGEL_KILL_TRIALS`` says how many times; a few by default, a thousand by hand.
"""

import asyncio
import base64
import os
import random
import time
from pathlib import Path

import pytest

from support.audit_worker import start
from support.audit_world import open_world, prepare
from zegel.evidence.log_sources import FolderSource
from zegel.evidence.mirror import Follower, verify_log
from zegel.evidence.transparency import open_checkpoint, verify_consistency
from zegel_server.audit.check import AuditCheck

TRIALS = int(os.environ.get("ZEGEL_KILL_TRIALS", "3"))


def size_of(out: Path) -> int:
    return out.stat().st_size if out.exists() else 0


def lines_of(out: Path) -> list[list[str]]:
    """What a process printed, but for a line that it was killed in."""
    return [line.split(" ") for line in out.read_text(encoding="utf-8").split("\n")[:-1]]


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(120 + 20 * TRIALS)
async def test_two_servers_killed_at_any_moment_leave_one_whole_log(url: str, tmp_path: Path) -> None:
    await prepare(url)
    world = await open_world(url, tmp_path)
    await world.log.create()
    key = world.log.key.verifier
    acknowledged: set[str] = set()
    roots: dict[int, bytes] = {}
    follower = Follower([key])
    for trial in range(TRIALS):
        outs = [tmp_path / f"out-{trial}-{number}" for number in range(2)]
        running = [start(out, url, tmp_path, world.tenant_id, world.subject_id) for out in outs]
        try:
            deadline = time.monotonic() + 60
            while not all(size_of(out) > 2_000 for out in outs) and time.monotonic() < deadline:  # noqa: ASYNC110 - files
                await asyncio.sleep(0.02)
            for each in running:
                await asyncio.sleep(random.random() * 0.3)  # noqa: S311 - any moment
                each.kill()
        finally:
            for each in running:
                each.kill()
                each.join()
        for words in [words for out in outs for words in lines_of(out)]:
            if words[0] == "acknowledged":
                acknowledged.add(words[1])
            else:
                head = open_checkpoint(base64.b64decode(words[1]), [key])
                # Two trees of one size, signed and let out, would be a fork.
                assert roots.setdefault(head.size, head.root) == head.root
        if (tmp_path / "log/checkpoint").exists():
            follower.follow(FolderSource(tmp_path / "log"))
        assert all(size_of(out) for out in outs)
    fresh = await open_world(url, tmp_path, published=True, tenant_id=world.tenant_id, subject_id=world.subject_id)
    await fresh.sequencer.start()
    await fresh.sequencer.flush()
    report = await AuditCheck(fresh.database, fresh.keys, fresh.log, fresh.publisher).run()
    assert report.findings == []
    assert report.waiting == 0
    evidence = await fresh.trail.evidence("aud_of_all")
    assert evidence.audit_jsonl.count(b"\n") == report.events
    recorded = {
        line.split(b'"event_id":"', 1)[1].split(b'"', 1)[0].decode() for line in evidence.audit_jsonl.splitlines()
    }
    assert acknowledged <= recorded
    assert len(acknowledged) > 10 * TRIALS
    # Each checkpoint that got out is of a beginning of the log that is there now.
    newest = await fresh.log.head()
    for size, root in list(roots.items())[:: max(1, len(roots) // 300)]:
        if size:
            proof = await fresh.trail.consistency_proof(size, 0)
            verify_consistency(size, newest.size, root, newest.root, proof.hashes)
    await fresh.close()
    await world.close()
    end = Follower([key])
    assert end.follow(FolderSource(tmp_path / "log")).size == report.events
    assert verify_log(FolderSource(tmp_path / "log"), [key]).size == report.events
    assert follower.follow(FolderSource(tmp_path / "log")).size == report.events
