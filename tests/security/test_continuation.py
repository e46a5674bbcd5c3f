"""A header block that never ends takes little memory, and keeps nobody from calling."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.flow import open_office
from support.http2 import CONTINUATION, ENDLESS, HEADERS, connected, frame
from support.server import ServerProcess, sqlite_server

CONNECTIONS = 6
ROUNDS = 3
MOST_BYTES = 300 * 2**20
"""What a connection sends at most; the server kept a quarter of it."""
STALLED_S = 3.0
"""After how many seconds without reading a server counts as one that reads no further."""
FACTOR = 2.5
"""The server's memory after them, in relation to that before."""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with sqlite_server() as running:
        yield running


def resident(server: ServerProcess) -> int:
    """Returns the server's memory in KiB."""
    assert server.process is not None
    [line] = [line for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines() if "VmRSS" in line]
    return int(line.split()[1])


def send_for_ever(server: ServerProcess, way: str) -> int:
    """Returns how many bytes of a header block the server took before it hung up, or read no further."""
    begin, more = ENDLESS[way]
    block = frame(CONTINUATION, 1, more) * 4
    sent = 0
    with connected(server.listen, server.authority) as connection, contextlib.suppress(OSError):
        connection.settimeout(STALLED_S)
        connection.sendall(frame(HEADERS, 1, begin))
        while sent < MOST_BYTES:
            connection.sendall(block)
            sent += len(block)
    return sent


@pytest.mark.parametrize("way", list(ENDLESS))
def test_a_header_block_without_end_is_cut_off(server: ServerProcess, way: str) -> None:
    with open_office(server) as office:
        office.sender.documents.list_documents()
        before = resident(server)
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            sending = [threads.submit(send_for_ever, server, way) for _ in range(CONNECTIONS * ROUNDS)]
            while not all(each.done() for each in sending):
                office.sender.documents.list_documents()
            sent = [each.result() for each in sending]
        assert max(sent) < MOST_BYTES
        assert resident(server) < FACTOR * before, f"{resident(server) / before:.2f} times"
        office.sender.documents.list_documents()
