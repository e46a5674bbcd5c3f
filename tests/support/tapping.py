"""A proxy that terminates TLS between a client and a server, records the traffic, and passes it on."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tap:
    """The recorded traffic, decrypted.

    Attributes:
        target: The address to which clients connect.
        captured: Every byte, up and down, a connection's direction after another.
    """

    target: str = ""
    streams: list[bytearray] = field(default_factory=list)

    @property
    def captured(self) -> bytes:
        return b"".join(self.streams)


@contextlib.contextmanager
def tapping(target: str, authority: bytes, certificate: Path) -> Iterator[Tap]:
    """Stands between a client and a server, with the server's own certificate.

    Args:
        target: The server, ``host:port``.
        authority: Who vouches for it, PEM.
        certificate: File of the certificate and its key, PEM.
    """
    tap = Tap()
    loop = asyncio.new_event_loop()
    transports: list[asyncio.WriteTransport] = []
    near = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    near.load_cert_chain(certificate)
    near.set_alpn_protocols(["h2"])
    far = ssl.create_default_context(cadata=authority.decode())
    far.set_alpn_protocols(["h2"])
    host, _, port = target.rpartition(":")

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = bytearray()
        tap.streams.append(seen)
        with contextlib.suppress(OSError, asyncio.CancelledError):  # the connection has ended
            while data := await reader.read(65_536):
                seen += data
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port), ssl=far)
        transports.extend([writer.transport, far_writer.transport])
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = loop.run_until_complete(asyncio.start_server(accept, "127.0.0.1", 0, ssl=near))
    tap.target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def end() -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0.01)  # lets the connections close

    try:
        yield tap
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
