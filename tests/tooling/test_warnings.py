"""What the suite's warning filters let pass, and what they do not."""

import gc
import select
import socket
import ssl
import struct
import warnings

import pytest

NO_LINGER = struct.pack("ii", 1, 0)
"""Closing resets the connection."""


def test_a_socket_that_ssl_itself_leaves_open_is_nobodys_failure() -> None:
    """A server that is killed between connect and handshake: `ssl` raises, and forgets the socket that it made."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        far.close()
        arrived = select.poll()
        arrived.register(near, 0)
        assert arrived.poll(10_000), "the reset did not come"
        with pytest.raises(ConnectionResetError):
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(near, server_hostname="localhost")
        near.close()
    gc.collect()


def test_a_socket_of_ours_that_is_left_open_still_fails() -> None:
    message = "unclosed <ssl.SSLSocket fd=9, family=2, type=1, proto=6, laddr=('127.0.0.1', 1), raddr=('127.0.0.1', 2)>"
    with pytest.raises(ResourceWarning):
        warnings.warn(message, ResourceWarning, stacklevel=1)
