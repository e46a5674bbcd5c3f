"""A witness behind HTTP. TLS, and whatever else the open internet wants, is the business of a proxy in front of it.

It needs the extra ``zegel[cli]``.

Invariants:

* What a stranger sends takes bounded memory and time, and holds nobody else up.
"""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from aiohttp import web

from zegel.evidence.witness import Witness
from zegel.evidence.witness_messages import MAX_REQUEST_BYTES, PATH

READ_S: Final = 5.0
"""How long a request's body may take to come."""
AT_A_TIME: Final = 64
"""Requests under way; more are told to come back, so that none makes the process grow."""


async def serve(asked: Witness, host: str, port: int, say: Callable[[str], None]) -> None:
    """Answer requests until the process is told to end.

    Args:
        asked: The witness.
        host: Where to listen.
        port: The port; 0 for a free one.
        say: Told, in one line each, where it listens and what goes wrong.

    Raises:
        OSError: The address cannot be listened on.
    """
    ended = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, ended.set)
    runner = web.AppRunner(application(asked, say), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        address = runner.addresses[0]
        say(f"the witness listens on http://{address[0]}:{address[1]}")
        await ended.wait()
    finally:
        await runner.cleanup()


def application(asked: Witness, say: Callable[[str], None]) -> web.Application:
    """Make the web application: ``POST /add-checkpoint`` and nothing else.

    Args:
        asked: The witness.
        say: Told, in one line each, what goes wrong.
    """
    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    under_way = 0

    async def add_checkpoint(request: web.Request) -> web.Response:
        nonlocal under_way
        if under_way >= AT_A_TIME:
            return web.Response(status=503, text="too many at a time\n", headers={"Retry-After": "1"})
        under_way += 1
        try:
            async with asyncio.timeout(READ_S):
                body = await request.read()
            # It waits for the disk, and for its turn.
            answer = await asyncio.to_thread(asked.add_checkpoint, body)
        except TimeoutError:
            return web.Response(status=408, text="the request took too long\n")
        except OSError as error:
            say(f"nothing is cosigned: {error}")
            return web.Response(status=500, text="the witness cannot remember\n")
        finally:
            under_way -= 1
        return web.Response(status=answer.status, body=answer.body, headers={"Content-Type": answer.content_type})

    app.router.add_post(PATH, add_checkpoint)
    return app
