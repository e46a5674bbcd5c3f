"""An unreliable connection: a relay that cuts the first connections after set numbers of bytes."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

PIECE = 65_536
"""Bytes passed on at a time."""


class Relay:
    """Stands between a client and a server.

    Args:
        target: The server, ``host:port``.
        up: For each connection in turn, the number of bytes from the client after which it is cut.
        down: The same for bytes from the server.

    Attributes:
        target: The address to which clients connect.
        cuts: Number of connections that were cut.
    """

    def __init__(self, target: str, up: Sequence[int] = (), down: Sequence[int] = ()) -> None:
        host, _, port = target.rpartition(":")
        self._far = (host, int(port))
        self._budgets = {"up": list(up), "down": list(down)}
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.target = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.cuts = 0
        self._threads[0].start()

    def close(self) -> None:
        """Cuts every connection and accepts no more."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._threads[0].join()
        self._end(*self._open)
        for thread in self._threads:
            thread.join()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(self._far)
            self._open += (near, far)
            for way, reader, writer in (("up", near, far), ("down", far, near)):
                budget = self._budgets[way].pop(0) if self._budgets[way] else None
                thread = threading.Thread(target=self._pump, args=(way, reader, writer, budget), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pump(self, way: str, reader: socket.socket, writer: socket.socket, budget: int | None) -> None:
        with contextlib.suppress(OSError):
            while data := reader.recv(PIECE):
                if budget is not None and len(data) > budget:
                    self.cuts += 1
                    break
                budget = None if budget is None else budget - len(data)
                writer.sendall(data)
            else:
                if budget is not None:  # given up before it was cut: the next connection has what is left
                    self._budgets[way].insert(0, budget)
        self._end(reader, writer)

    @staticmethod
    def _end(*sockets: socket.socket) -> None:
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relaying(target: str, up: Sequence[int] = (), down: Sequence[int] = ()) -> Iterator[Relay]:
    """A relay for a while; see `Relay`."""
    relay = Relay(target, up, down)
    try:
        yield relay
    finally:
        relay.close()
