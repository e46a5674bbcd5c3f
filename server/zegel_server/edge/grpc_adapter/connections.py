"""Closes connections that send much more than the calls on them account for.

gRPC keeps some of what it reads of a header block that never ends, or that it refuses as too large, and goes on
reading: HTTP/2 CONTINUATION frames without end take a server's memory before any call begins, and none of gRPC's
options that Python has bounds it. The kernel counts what a connection received (``TCP_INFO``, tcp(7)); this module
compares that with what its calls have had, and resets a connection where far too much is unaccounted for.

Invariants:

* A connection whose calls read what it sends is never closed: calls, messages, what answers cost in return, and time
  account for more than HTTP/2 and TLS add.
* Nothing is kept about a connection that is closed, and no descriptor of a connection is held between looks.
* Only on Linux: elsewhere nothing is closed, and what stands in front has to bound it.
"""

import asyncio
import ctypes
import os
import socket
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from zegel_server.edge.addresses import parse_address
from zegel_server.edge.wire import MAX_MESSAGE

UNKNOWN_BYTES: Final = 2 * MAX_MESSAGE
"""Bytes that a connection may send ahead of its calls before a caller was admitted on it: a message, and its frames."""
KNOWN_BYTES: Final = 64 * 2**20
"""The same once a caller was: what flow control lets it have under way, with many uploads at a time."""
HEAVY_BYTES: Final = 64 * 2**10
"""Bytes ahead of its calls that make an unknown connection a heavy one: header blocks have at most 8 KiB."""
HEAVY_OF_ADDRESS: Final = 16
"""Heavy connections of an address on which no caller was admitted; of more, those with most are closed."""
CALL_BYTES: Final = 16 * 2**10
"""What a call accounts for, beside its messages: its metadata, and the frames that end it."""
MESSAGE_BYTES: Final = 64
"""What a message accounts for beside its size, which counts 17/16: the headers of frames and of TLS records."""
UNREAD_BYTES: Final = MAX_MESSAGE
"""What a stream of an admitted caller accounts for that ends before its messages, such as a refused upload: they are
under way by then, as many as flow control allows."""
BYTES_PER_S: Final = 1024
"""What time accounts for: pings, their answers, and the checks of health that a load balancer makes."""
LOOK_S: Final = 0.25
"""How long after one look the next begins, in seconds; longer where a look takes more than a twentieth of that."""
_FDS: Final = "/proc/self/fd"
_RECEIVED: Final = 128
"""Where ``tcpi_bytes_received`` is in ``struct tcp_info``, since Linux 4.1."""

_UNSPECIFIED: Final = bytes(16)
"""An address of the family ``AF_UNSPEC``: connecting to it resets a connection (connect(2)), while shutting it down
would leave gRPC waiting to write to who does not read."""

_libc = ctypes.CDLL(None, use_errno=True)
_log = structlog.get_logger("zegel.edge")

End = tuple[str, int]
"""The other end of a connection: its address and port."""


@dataclass(slots=True)
class Account:
    """What the calls on a connection account for, in bytes.

    Attributes:
        bytes: So much.
        is_known: Whether a caller was admitted on it.
        since: When it was first seen, by the monotonic clock.
    """

    bytes: int = 0
    is_known: bool = False
    since: float = field(default_factory=time.monotonic)

    def begun(self) -> None:
        """Counts a call."""
        self.bytes += CALL_BYTES

    def read(self, size: int) -> None:
        """Counts a message that came.

        Args:
            size: Its bytes.
        """
        self.bytes += size + size // 16 + MESSAGE_BYTES

    def left_unread(self) -> None:
        """Counts a stream that ended before its messages did."""
        if self.is_known:
            self.bytes += UNREAD_BYTES

    def sent(self, size: int) -> None:
        """Counts a message that was sent, for which the other end gives leave to send more.

        Args:
            size: Its bytes.
        """
        self.bytes += size // 32 + MESSAGE_BYTES


class Connections:
    """The connections of a server.

    Args:
        spares: Whether connections from an address are left alone, such as a trusted proxy's.

    Attributes:
        closed: How many were closed.
    """

    def __init__(self, spares: Callable[[str], bool] | None = None) -> None:
        self._spares = spares or (lambda _address: False)
        self._accounts: dict[End, Account] = {}
        self._sockets: dict[tuple[str, str], End | None] = {}  # by descriptor and inode: ours, or not
        self.closed = 0

    def account(self, peer: str) -> Account:
        """The account of a connection, for a call on it.

        Args:
            peer: gRPC's name for the other end, such as ``ipv4:127.0.0.1:5000``.
        """
        return self._accounts.setdefault(_end_of(peer), Account())

    async def watch(self, port: int) -> None:
        """Looks at the connections again and again, until it is cancelled.

        Args:
            port: Where the server listens.
        """
        if sys.platform != "linux":
            return
        while True:
            began = time.monotonic()
            try:
                await asyncio.to_thread(self.look, port)
            except Exception as error:  # noqa: BLE001 - a defect here must not end the looks
                _log.error("connections_defect", exc_info=error)
            await asyncio.sleep(max(LOOK_S, 20 * (time.monotonic() - began)))

    def look(self, port: int) -> None:
        """Looks at every connection once, and closes those with too much that is unaccounted for.

        Args:
            port: Where the server listens.
        """
        now, closed = time.monotonic(), self.closed
        before = set(self._accounts)
        heavy: defaultdict[str, list[tuple[int, str, End]]] = defaultdict(list)
        sockets: dict[tuple[str, str], End | None] = {}
        for descriptor in os.listdir(_FDS):  # noqa: PTH208 - names are enough
            try:
                key = (descriptor, os.readlink(f"{_FDS}/{descriptor}"))  # noqa: PTH115 - the same
            except OSError:
                continue  # closed meanwhile
            end = sockets[key] = self._sockets[key] if key in self._sockets else _connected(key, port)
            if end is None or self._spares(end[0]) or (received := _received(descriptor)) is None:
                continue
            account = self._accounts.setdefault(end, Account())
            ahead = received - account.bytes - int((now - account.since) * BYTES_PER_S)
            if ahead > (KNOWN_BYTES if account.is_known else UNKNOWN_BYTES):
                self._close(descriptor, end, port)
            elif ahead > HEAVY_BYTES and not account.is_known:
                heavy[end[0]].append((ahead, descriptor, end))
        for found in heavy.values():
            for _, descriptor, end in sorted(found)[HEAVY_OF_ADDRESS:]:
                self._close(descriptor, end, port)
        if self.closed > closed:
            _log.warning(
                "connections_closed",
                why="far more was received than their calls account for",
                number=self.closed - closed,
            )
        self._sockets = sockets
        for end in before - set(sockets.values()):
            self._accounts.pop(end, None)

    def _close(self, descriptor: str, end: End, port: int) -> None:
        """Resets a connection, if the descriptor is still its."""
        try:
            with _opened(descriptor) as connection:
                if _ends(connection, port) == end:
                    _libc.connect(connection.fileno(), _UNSPECIFIED, len(_UNSPECIFIED))
                    self.closed += 1
        except OSError:
            return  # closed meanwhile


def _end_of(peer: str) -> End:
    family, _, rest = peer.partition(":")
    address, _, port = rest.rpartition(":")
    if family not in {"ipv4", "ipv6"} or not port.isdecimal():
        return peer, 0
    return _plain(address.replace("%5B", "").replace("%5D", "").replace("%25", "%").strip("[]")), int(port)


def _plain(address: str) -> str:
    """An address in one form, without the interface that it is reached by."""
    parsed = parse_address(address.partition("%")[0])
    return address if parsed is None else str(parsed)


def _connected(key: tuple[str, str], port: int) -> End | None:
    """The other end of a descriptor's connection; ``None`` if it is not one that the server accepted."""
    descriptor, link = key
    if not link.startswith("socket:"):
        return None
    try:
        with _opened(descriptor) as found:
            return _ends(found, port)
    except OSError:
        return None


def _opened(descriptor: str) -> socket.socket:
    """A socket of our own on a descriptor's connection."""
    own = os.dup(int(descriptor))
    try:
        return socket.socket(fileno=own)
    except BaseException:  # it is something else by now
        os.close(own)
        raise


def _ends(found: socket.socket, port: int) -> End | None:
    if found.family not in {socket.AF_INET, socket.AF_INET6} or found.type != socket.SOCK_STREAM:
        return None
    if found.getsockname()[1] != port:
        return None
    address, its_port, *_ = found.getpeername()
    return _plain(address), its_port


def _received(descriptor: str) -> int | None:
    """How many bytes a connection has received; ``None`` if it is closed, or the kernel does not say."""
    try:
        with _opened(descriptor) as connection:
            told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    except OSError:
        return None
    return int(struct.unpack_from("=Q", told, _RECEIVED)[0]) if len(told) >= _RECEIVED + 8 else None
