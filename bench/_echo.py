"""The floor of the ``rpc`` benchmark: a bare grpc.aio server that answers ``GetDocument`` with prepared bytes."""

import asyncio
import json
import sys
from pathlib import Path

import grpc


async def main(folder: Path) -> None:
    """Serves until the process is terminated.

    Args:
        folder: Contains ``answer`` (the bytes of the response), ``tls.pem`` (certificate) and ``tls.key``.
    """
    answer = (folder / "answer").read_bytes()

    async def echo(_request: bytes, _context: object) -> bytes:
        return answer

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    method = grpc.unary_unary_rpc_method_handler(echo)
    handlers = grpc.method_handlers_generic_handler("zegel.document.v1.DocumentService", {"GetDocument": method})
    server.add_generic_rpc_handlers((handlers,))
    pair = ((folder / "tls.key").read_bytes(), (folder / "tls.pem").read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
