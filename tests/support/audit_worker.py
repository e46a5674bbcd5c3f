"""A process that records events and sequences them until it is killed; for tests of just that.

``python -m support.audit_worker URL FOLDER TENANT SUBJECT`` writes a line ``acknowledged <event id>`` for each event
once it is durable, and ``signed <checkpoint, base64>`` for each checkpoint once it is committed.
"""

import asyncio
import base64
import sys
from pathlib import Path

from support.audit_world import open_world
from zegel_server.audit.log import Head
from zegel_server.audit.publisher import Publisher


def tell(*words: str) -> None:
    """Writes a line at once: what is said is not lost with the process."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


class Telling(Publisher):
    """Tells of each checkpoint that may leave the process, and publishes it."""

    def committed(self) -> None:
        """See ``Publishing.committed``."""
        head = self._log.known
        assert isinstance(head, Head)
        tell("signed", base64.b64encode(head.checkpoint).decode())
        super().committed()


async def main() -> None:
    """Works for ever."""
    url, folder, tenant_id, subject_id = sys.argv[1:]
    world = await open_world(url, Path(folder), tenant_id=tenant_id, subject_id=subject_id)
    world.sequencer._publisher = Telling(world.log, world.database, world.files)
    await world.sequencer.start()
    request = ("req_of_all", "aud_of_all")

    async def work() -> None:
        while True:
            [event_id] = await world.record(request=request)
            tell("acknowledged", event_id)

    await asyncio.gather(*(work() for _ in range(4)))


if __name__ == "__main__":
    asyncio.run(main())
