"""Many slow readers at once: what they cost the server's memory, and those who only ask something.

The readers are a process of their own, since the one that asks would else wait for their interpreter, not the server.
"""

import json
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any, Final

import zegel
from bench import _run
from zegel._internal.contract import rpc_of
from zegel.document.v1.document_service_pb2 import DownloadDocumentRequest

CONNECTIONS: Final = 4
"""Connections that they share; a server takes 100 calls on each."""
PAUSE_S: Final = 10.0
"""Between two chunks of a MiB: the rate of a poor mobile line."""
SETTLED_S: Final = 15.0
"""Until what they may hold is held."""
ASKED_S: Final = 10.0
ROUNDS: Final = 3
PERCENT: Final = 0.99
TOKEN: Final = "BENCH_TOKEN"  # noqa: S105 - a variable's name
"""The variable that hands the readers their token."""


def _p99(client: zegel.Client, document_id: str) -> float:
    """Seconds of a unary call, asked one after the other for a while: the 99th percentile."""
    times = []
    until = time.perf_counter() + ASKED_S
    while time.perf_counter() < until:
        began = time.perf_counter()
        client.documents.get_document(document_id=document_id)
        times.append(time.perf_counter() - began)
    return sorted(times)[int(len(times) * PERCENT)]


def _read(target: str, authority: bytes, token: str, document_id: str, count: int) -> None:
    """Read until the process is told to end: a chunk now and then, each reader at its own moments."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    random = Random(7)  # noqa: S311 - load, not a secret
    with ExitStack() as stack:
        clients = [
            stack.enter_context(
                # A connection each: gRPC would share one between channels that are alike.
                zegel.Client(
                    target,
                    token=token,
                    root_certificates=authority,
                    options=[("grpc.use_local_subchannel_pool", 1), ("grpc.channel_id", number)],
                )
            )
            for number in range(CONNECTIONS)
        ]

        def read(number: int, late_s: float) -> None:
            if stop.wait(late_s):
                return
            port: Any = clients[number % CONNECTIONS].documents._port  # noqa: SLF001 - the SDK reads as fast as it can
            request = DownloadDocumentRequest(document_id=document_id)
            stream = port.link.method(rpc_of(request))(request, **port.call.arguments(stream=True))
            for _ in stream:
                if stop.wait(PAUSE_S):
                    break
            stream.cancel()

        threads = [threading.Thread(target=read, args=(each, random.uniform(0, PAUSE_S))) for each in range(count)]
        for thread in threads:
            thread.start()
        sys.stdout.write(json.dumps({"reading": count}) + "\n")
        sys.stdout.flush()
        for thread in threads:
            thread.join()


def slow_readers(client: zegel.Client, served: _run.Served, token: str, document_id: str, count: int) -> dict[str, Any]:
    """Measures.

    Args:
        client: Asks.
        served: The server.
        token: Of the readers.
        document_id: What they read.
        count: How many they are.
    """
    readers = [sys.executable, "-m", "bench._slow", served.target, str(served.authority), document_id, str(count)]
    idle, busy, held = list[float](), list[float](), list[float]()
    for _ in range(ROUNDS):
        idle.append(_p99(client, document_id))
        before = _run.memory(served.pid, "VmRSS")
        _run.reset_peak(served.pid)
        with _run.process(readers, **{TOKEN: token}):
            time.sleep(SETTLED_S)
            busy.append(_p99(client, document_id))
            held.append(_run.memory(served.pid, "VmHWM") - before)
    return {
        "slow_readers": count,
        "slow_readers_rss_mib": round(max(held), 1),
        "slow_readers_unary_p99_ratio": _run.rounded(
            _run.median([busy_s / idle_s for busy_s, idle_s in zip(busy, idle, strict=True)])
        ),
        "slow_readers_unary_p99_ms": [round(_run.median(each) * 1000, 2) for each in (busy, idle)],
    }


if __name__ == "__main__":
    where, pem, read_document, readers = sys.argv[1:]
    _read(where, Path(pem).read_bytes(), os.environ[TOKEN], read_document, int(readers))
