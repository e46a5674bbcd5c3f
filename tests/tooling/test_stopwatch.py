"""What the tests' stopwatch excuses, and what it does not."""

import asyncio
import os
import signal
import subprocess
import sys
import time

from support.stopwatch import Stopwatch


async def test_waiting_counts() -> None:
    async with Stopwatch() as watch:
        await asyncio.sleep(0.3)
        assert await watch.seconds() > 0.25


async def test_work_that_blocks_the_loop_counts() -> None:
    async with Stopwatch() as watch:
        until = time.process_time() + 0.3
        while time.process_time() < until:
            pass
        assert await watch.seconds() > 0.25


async def test_what_the_machine_took_does_not_count() -> None:
    """Another process stops this one for a second, as a busy machine would."""
    code = f"import os, signal, time; os.kill({os.getpid()}, 19); time.sleep(1); os.kill({os.getpid()}, 18)"
    assert (signal.SIGSTOP, signal.SIGCONT) == (19, 18)
    began = time.monotonic()
    async with Stopwatch() as watch:
        stopper = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=subprocess.DEVNULL)
        waited = await asyncio.gather(stopper.wait(), asyncio.sleep(0.1))
        shown = await watch.seconds()
    assert waited[0] == 0
    assert time.monotonic() - began - shown > 0.8
