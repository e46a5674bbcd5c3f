"""Many slow readers at once: what they cost in server memory, and how they delay a caller of short methods.

The readers run in a separate process: otherwise the caller would wait for their interpreter, not for the server.
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
"""Number of connections that they share; a server accepts 100 calls on each."""
PAUSE_S: Final = 10.0
"""Seconds between two chunks of 1 MiB, as on a poor mobile connection."""
SETTLED_S: Final = 15.0
"""Seconds until the server's buffers for them are full."""
ASKED_S: Final = 10.0
ROUNDS: Final = 3
PERCENT: Final = 0.99
TOKEN: Final = "BENCH_TOKEN"  # noqa: S105 - a variable's name
"""Environment variable with the readers' token."""


def _p99(client: zegel.Client, document_id: str) -> float:
    """Returns the 99th percentile, in seconds, of unary calls made one after the other for a while."""
    times = []
    until = time.perf_counter() + ASKED_S
    while time.perf_counter() < until:
        began = time.perf_counter()
        client.documents.get_document(document_id=document_id)
        times.append(time.perf_counter() - began)
    return sorted(times)[int(len(times) * PERCENT)]


def _read(target: str, authority: bytes, token: str, document_id: str, count: int) -> None:
    """Reads a chunk now and then, each reader at different moments, until the process is terminated."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    random = Random(7)  # noqa: S311 - load, not a secret
    with ExitStack() as stack:
        clients = [
            stack.enter_context(
                # One connection for each: gRPC would share one between channels with the same options.
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
        client: The client that makes the unary calls.
        served: The server.
        token: The readers' token.
        document_id: The document that they read.
        count: Number of readers.
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
