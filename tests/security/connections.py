"""Unary latency while thousands of connections stand idle, or never finish their handshake.

Run: ``python tests/security/connections.py --idle 10000 --unfinished 5000`` (with ``ulimit -n`` well above the sum, for
the server as well, which inherits it). The idle ones have finished TLS and HTTP/2's preface; the unfinished ones sent
the first half of a ClientHello and are made again whenever the server hangs up. It prints one line of JSON, and exits 1
where a p99 is more than twice that of the same server without them.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import ssl
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import grpc.aio

from security.world import LIMITS_OFF
from support.flow import Office, open_office
from support.server import sqlite_server
from zegel.identity.v1 import identity_service_pb2, identity_service_pb2_grpc

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""RFC 9113, section 3.4, with an empty SETTINGS frame."""
HALF_A_HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)
"""The beginning of a TLS record that announces 512 bytes, of which no more come."""
AT_A_TIME: Final = 64
ALLOWED: Final = 2.0
SETTLE_S: Final = 8.0
"""So that the handshakes of the idle ones are over, and those of the unfinished ones are given up and begun again."""


async def p99_ms(office: Office, calls: int) -> tuple[float, float]:
    """Median and p99 of a unary call, one at a time, in milliseconds.

    Args:
        office: Whose session calls.
        calls: How many.
    """
    credentials = grpc.ssl_channel_credentials(office.server.authority)
    metadata = (("authorization", f"Bearer {office.sender._call.token}"),)
    times = []
    async with grpc.aio.secure_channel(office.server.listen, credentials) as channel:
        stub = identity_service_pb2_grpc.IdentityServiceStub(channel)
        for number in range(calls + 100):
            began = time.perf_counter()
            await stub.GetCurrentSession(identity_service_pb2.GetCurrentSessionRequest(), metadata=metadata)
            if number >= 100:  # the first ones open the connection
                times.append((time.perf_counter() - began) * 1_000)
    times.sort()
    return round(times[len(times) // 2], 3), round(times[int(len(times) * 0.99)], 3)


class Crowd:
    """Connections that are only there.

    Args:
        host: The server's address.
        port: Its port.
        authority: Its authority, PEM.
    """

    def __init__(self, host: str, port: int, authority: bytes) -> None:
        self._host, self._port = host, port
        self._tls = ssl.create_default_context(cadata=authority.decode())
        self._tls.set_alpn_protocols(["h2"])
        self._gate = asyncio.Semaphore(AT_A_TIME)
        self._tasks: list[asyncio.Task[None]] = []
        self.standing = 0
        self.hung_up = 0

    def add(self, count: int, *, finished: bool) -> None:
        """Opens more.

        Args:
            count: How many.
            finished: Whether they finish their handshake.
        """
        self._tasks += [asyncio.create_task(self._stand(finished=finished)) for _ in range(count)]

    async def until(self, count: int, seconds: float) -> None:
        """Waits until that many stand, or the time is over."""
        deadline = time.monotonic() + seconds
        while self.standing < count and time.monotonic() < deadline:  # noqa: ASYNC110 - a count, with an end to it
            await asyncio.sleep(0.1)

    async def _stand(self, *, finished: bool) -> None:
        while True:
            writer = None
            try:
                async with self._gate:
                    tls = {"ssl": self._tls, "server_hostname": self._host} if finished else {}
                    reader, writer = await asyncio.open_connection(self._host, self._port, **tls)  # type: ignore[arg-type]
                    writer.write(PREFACE if finished else HALF_A_HELLO)
                self.standing += 1
                try:
                    while await reader.read(4_096):
                        pass
                finally:
                    self.standing -= 1
                self.hung_up += 1
            except OSError:
                await asyncio.sleep(0.5)
            finally:
                if writer is not None:
                    writer.transport.abort()  # a polite end would wait for the other side

    async def close(self) -> None:
        """Closes them all."""
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _crowd(target: str, authority: bytes, wanted: tuple[int, int], told: Connection) -> None:
    host, _, port = target.rpartition(":")
    crowd = Crowd(host, int(port), authority)
    try:
        for count, finished in zip(wanted, (True, False), strict=True):
            expected = crowd.standing + count
            crowd.add(count, finished=finished)
            await crowd.until(expected, 120)
            told.send((crowd.standing, crowd.hung_up))
            await asyncio.to_thread(told.recv)  # it has been measured
        told.send((crowd.standing, crowd.hung_up))
    finally:
        await crowd.close()


def _crowd_process(target: str, authority: bytes, wanted: tuple[int, int], told: Connection) -> None:
    asyncio.run(_crowd(target, authority, wanted, told))


def measure(office: Office, idle: int, unfinished: int, calls: int) -> dict[str, object]:
    """Measures alone, beside the idle ones, beside both, and afterwards.

    Args:
        office: Whose session calls.
        idle: Connections that stand idle.
        unfinished: Connections that never finish their handshake.
        calls: Calls of each measurement.
    """
    here, there = multiprocessing.Pipe()
    # In a process of its own: its work must not delay the caller that is timed.
    arguments = (office.server.listen, office.server.authority, (idle, unfinished), there)
    crowd = multiprocessing.get_context("spawn").Process(target=_crowd_process, args=arguments)

    def times() -> tuple[float, float]:
        # The middle one of three: the machine has other work as well.
        return sorted((asyncio.run(p99_ms(office, calls)) for _ in range(3)), key=lambda each: each[1])[1]

    alone = times()
    figures: dict[str, object] = {"alone_ms": alone}
    crowd.start()
    worst = 0.0
    for name in ("idle", "unfinished"):
        figures[f"{name}_standing"], _ = here.recv()
        time.sleep(SETTLE_S)
        figures[f"{name}_ms"] = found = times()
        worst = max(worst, found[1] / alone[1])
        here.send("measured")
    _, hung_up = here.recv()
    crowd.join()
    return figures | {"hung_up": hung_up, "afterwards_ms": times(), "ratio": round(worst, 2)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=1_000)
    parser.add_argument("--unfinished", type=int, default=500)
    parser.add_argument("--calls", type=int, default=3_000)
    arguments = parser.parse_args()
    needed, (_, most) = arguments.idle + arguments.unfinished + 500, resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < needed:
        sys.exit(f"connections: {needed} open files are needed, {most} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with sqlite_server(environment=LIMITS_OFF) as server, open_office(server, "Crowd") as office:
        figures = measure(office, arguments.idle, arguments.unfinished, arguments.calls)
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()
    ratio = figures["ratio"]
    sys.exit(isinstance(ratio, float) and ratio > ALLOWED)


if __name__ == "__main__":
    main()
