"""A proxy before an object store that passes HTTP requests on, or causes the faults of stores and networks."""

import contextlib
import random
import select
import socket
import struct
import threading
import time
from typing import Final

PIECE: Final = 65_536
SLOW_PIECE: Final = 16_384
SLOW_PAUSE_S: Final = 0.02
"""Seconds between two pieces: about 800 KB per second."""
STATUS: Final = {"500": "InternalError", "503": "SlowDown", "403": "AccessDenied", "507": "StorageFull"}


class FaultyStore:
    """A proxy between a server and its store.

    Args:
        port: The store's port on 127.0.0.1.

    Attributes:
        port: The port to which the server connects.
        fault: What happens to requests from now on: ``none``; a status of `STATUS`, answered instead of the store;
            ``garbage`` (a response that is not HTTP); ``silent`` (no response); ``cut`` (the connection is reset in the
            middle of the request); ``lost`` (the store carries out the request, and the connection is reset in the
            middle of the response); ``slow``.
        struck: Number of requests affected by the fault.
    """

    def __init__(self, port: int) -> None:
        self._far = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._closed = threading.Event()
        self.port: int = self._listening.getsockname()[1]
        self.fault = "none"
        self.struck = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Ends every connection."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            self._open.add(near)
            thread = threading.Thread(target=self._serve, args=(near,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), near:
            while True:
                head = _head(near)
                fault = self.fault
                self.struck += fault != "none"
                self._request(near, head, fault)
        self._open.discard(near)

    def _request(self, near: socket.socket, head: bytes, fault: str) -> None:
        length = _length(head) or 0
        if fault == "cut":
            _exactly(near, length // 2)
            _reset(near)
        body = _exactly(near, length)
        if fault in STATUS:
            text = f"<?xml version='1.0'?><Error><Code>{STATUS[fault]}</Code><Message>no</Message></Error>".encode()
            sent = b"" if head.startswith(b"HEAD") else text
            near.sendall(f"HTTP/1.1 {fault} No\r\nContent-Length: {len(sent)}\r\n\r\n".encode() + sent)
            return
        if fault == "garbage":
            near.sendall(random.Random(7).randbytes(300))  # noqa: S311 - no secret
            raise EOFError
        if fault == "silent":
            while self.fault == "silent" and not self._closed.wait(0.05):
                pass
            raise EOFError
        with socket.create_connection(self._far) as far:
            _send(far, head + body)
            answer = _answer(far, head)
        if fault == "lost":
            near.sendall(answer[: len(answer) // 2])
            _reset(near)
        if fault == "slow":
            for start in range(0, len(answer), SLOW_PIECE):
                near.sendall(answer[start : start + SLOW_PIECE])
                time.sleep(SLOW_PAUSE_S)
            time.sleep(SLOW_PAUSE_S * length / SLOW_PIECE)
            return
        near.sendall(answer)


def _send(far: socket.socket, data: bytes) -> None:
    """Sends a request as far as the store reads it: the store may refuse one after its head and stop reading."""
    left = memoryview(data)
    while left and not select.select([far], [], [], 0)[0]:
        left = left[far.send(left[:PIECE]) :]


def _answer(far: socket.socket, request: bytes) -> bytes:
    head = _head(far)
    if request.startswith(b"HEAD") or head.split(b" ", 2)[1] in {b"204", b"304"}:
        return head
    length = _length(head)
    if length is not None:
        return head + _exactly(far, length)
    body = b""
    while not body.endswith(b"0\r\n\r\n"):  # chunked: such responses are XML, and their last chunk is empty
        data = far.recv(PIECE)
        if not data:
            raise EOFError
        body += data
    return head + body


def _head(reader: socket.socket) -> bytes:
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        data = reader.recv(1)
        if not data:
            raise EOFError
        head += data
    return bytes(head)


def _length(head: bytes) -> int | None:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return None


def _exactly(reader: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = reader.recv(min(PIECE, size - len(data)))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def _reset(near: socket.socket) -> None:
    """Ends a connection with RST."""
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    near.close()
    raise EOFError
