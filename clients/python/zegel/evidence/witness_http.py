"""A witness over HTTP. TLS, and whatever else the open internet requires, is left to a proxy in front of it.

It needs the extra ``zegel[cli]``.

Invariants:

* A stranger's requests take bounded memory and time, and do not hold up others.
"""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from aiohttp import web

from zegel.evidence.witness import Witness
from zegel.evidence.witness_messages import MAX_REQUEST_BYTES, PATH

READ_S: Final = 5.0
"""How long a request's body may take to arrive, in seconds."""
AT_A_TIME: Final = 64
"""Maximum number of requests at a time. Further ones are asked to retry, so that memory stays bounded."""


async def serve(asked: Witness, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve requests until the process is asked to end.

    Args:
        asked: The witness.
        host: Where to listen.
        port: The port; 0 for a free one.
        say: Called with one line each about where it listens and what goes wrong.

    Raises:
        OSError: It cannot listen on the address.
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
        say: Called with one line about each thing that goes wrong.
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
            # In a thread: it waits for the disk, and for its turn.
            answer = await asyncio.to_thread(asked.add_checkpoint, body)
        except TimeoutError:
            return web.Response(status=408, text="the request took too long\n")
        except OSError as error:
            say(f"cannot cosign: {error}")
            return web.Response(status=500, text="the witness cannot store its state\n")
        finally:
            under_way -= 1
        return web.Response(status=answer.status, body=answer.body, headers={"Content-Type": answer.content_type})

    app.router.add_post(PATH, add_checkpoint)
    return app
