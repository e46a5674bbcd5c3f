"""A neighbour that takes connections and says nothing, or a byte a second: alone, or as a relay before a real one."""

import contextlib
import socket
import threading
from collections.abc import Iterator

PIECE = 65_536
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Drip: "
"""What one without a real neighbour behind it begins to say; the header's value never ends."""


class Dripping:
    """A neighbour that can be slow.

    Args:
        target: ``host:port`` of the real neighbour, to which everything is relayed; empty for none.
        mode: ``well``, ``silent`` (nothing is answered any more) or ``dripping`` (a byte a second).

    Attributes:
        address: Its own ``host:port``.
        mode: The mode from now on, also for connections that are open.
        asked: Connections so far.
    """

    def __init__(self, target: str = "", mode: str = "well") -> None:
        host, _, port = target.rpartition(":")
        self._far = (host, int(port)) if target else None
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.mode = mode
        self.asked = 0
        self._start(self._accept)

    def close(self) -> None:
        """Ends every connection."""
        self._over.set()
        for each in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()
        for each in self._open:
            each.close()

    def _start(self, run: object, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            self.asked += 1
            self._open.append(near)
            if self._far is None:
                self._start(self._swallow, near)
                self._start(self._say, near)
                continue
            far = socket.create_connection(self._far)
            self._open.append(far)
            self._start(self._pass_on, near, far, False)
            self._start(self._pass_on, far, near, True)

    def _swallow(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while near.recv(PIECE):
                pass

    def _say(self, near: socket.socket) -> None:
        for byte in ENDLESS + b"x" * 100_000:
            if not self._drip(near, bytes([byte])):
                return

    def _pass_on(self, reader: socket.socket, writer: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := reader.recv(PIECE):
                while data and answers and self.mode != "well":
                    if not self._drip(writer, data[:1]):
                        return
                    data = data[1:] if self.mode == "dripping" else data
                writer.sendall(data)
        for each in (reader, writer):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _drip(self, to: socket.socket, byte: bytes) -> bool:
        """Sends a byte, or nothing, and waits for a second; whether to go on."""
        if self.mode != "silent":
            try:
                to.sendall(byte)
            except OSError:
                return False
        return not self._over.wait(1)


@contextlib.contextmanager
def dripping(target: str = "", mode: str = "well") -> Iterator[Dripping]:
    """A neighbour for a while; see `Dripping`."""
    neighbour = Dripping(target, mode)
    try:
        yield neighbour
    finally:
        neighbour.close()
