"""Frames of HTTP/2 as no client sends them (RFC 9113), over TLS."""

import socket
import ssl
import struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, CONTINUATION = 1, 4, 9
FRAME_BYTES: Final = 16_384
_REQUEST: Final = bytes((0x83, 0x86, 0x84, 0x41, 1)) + b"a"
"""In HPACK: a POST of / over http to the authority a."""


def frame(kind: int, stream: int, payload: bytes) -> bytes:
    """Returns a frame without flags."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, 0)) + struct.pack(">I", stream) + payload


def _number(value: int) -> bytes:
    """Returns an integer with a prefix of 7 bits (RFC 7541, section 5.1)."""
    if value < 127:
        return bytes((value,))
    rest, value = [127], value - 127
    while value >= 128:
        rest.append(value % 128 + 128)
        value //= 128
    return bytes((*rest, value))


def _field(value: bytes) -> bytes:
    return b"\x00" + _number(3) + b"x-a" + _number(len(value)) + value


ENDLESS: Final = {
    "one field": (_REQUEST + b"\x00" + _number(3) + b"x-a" + _number(2**27), b"y" * FRAME_BYTES),
    "many fields": (_REQUEST, _field(b"y" * 50) * (FRAME_BYTES // 56)),
}
"""Ways to begin a header block, and what it goes on with for ever."""


def connected(target: str, authority: bytes) -> ssl.SSLSocket:
    """Returns a connection on which TLS and HTTP/2's preface are done.

    Args:
        target: The server, ``host:port``.
        authority: Its authority's certificate, PEM.
    """
    host, _, port = target.rpartition(":")
    context = ssl.create_default_context(cadata=authority.decode("ascii"))
    context.set_alpn_protocols(["h2"])
    made = context.wrap_socket(socket.create_connection((host, int(port))), server_hostname=host)
    made.sendall(PREFACE + frame(SETTINGS, 0, b""))
    return made
