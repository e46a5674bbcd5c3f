"""A process that records events and sequences them until it is killed, for tests of such kills.

It writes a line ``acknowledged <event id>`` for each event once it is durable, and ``signed <checkpoint, base64>`` for
each checkpoint once it is committed. Processes are forked from one that has only imported the modules, so that a
thousand starts take minutes, not an hour.
"""

import asyncio
import base64
import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from support.audit_world import open_world
from zegel_server.audit.log import Head
from zegel_server.audit.publisher import Publisher

PACE_S = 0.05
"""Seconds between two events of a task: the events of a thousand trials must fit into one trail's evidence, 64 MiB."""


def tell(*words: str) -> None:
    """Writes a line without buffering, so that it is not lost when the process is killed."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


class Telling(Publisher):
    """Writes a line for each committed checkpoint, and publishes it."""

    def committed(self) -> None:
        """See ``Publishing.committed``."""
        head = self._log.known
        assert isinstance(head, Head)
        tell("signed", base64.b64encode(head.checkpoint).decode())
        super().committed()


async def _work(url: str, folder: Path, tenant_id: str, subject_id: str) -> None:
    """Records and sequences until the process is killed."""
    world = await open_world(url, folder, tenant_id=tenant_id, subject_id=subject_id)
    world.sequencer._publisher = Telling(world.log, world.database, world.files)
    await world.sequencer.start()
    request = ("req_of_all", "aud_of_all")

    async def work() -> None:
        while True:
            [event_id] = await world.record(
                name="SIGNATURE_REQUEST_VIEWED", request=request
            )  # an event type that has no quota
            tell("acknowledged", event_id)
            await asyncio.sleep(PACE_S)

    await asyncio.gather(*(work() for _ in range(4)))


def _main(out: Path, url: str, folder: Path, tenant_id: str, subject_id: str) -> None:
    with out.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    asyncio.run(_work(url, folder, tenant_id, subject_id))


def start(out: Path, url: str, folder: Path, tenant_id: str, subject_id: str) -> ForkServerProcess:
    """Starts such a process.

    Args:
        out: File to which it writes its lines.
        url: The database.
        folder: Where the log's files are.
        tenant_id: The tenant whose events it records.
        subject_id: The tenant as a subject.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", __name__])
    process = context.Process(target=_main, args=(out, url, folder, tenant_id, subject_id), daemon=True)
    process.start()
    return process
