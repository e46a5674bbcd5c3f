"""The floor of benchmarks: a bare grpc.aio server that answers every unary call with the same prepared bytes."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import grpc


async def main(folder: Path) -> None:
    """Serves until the process is terminated.

    Args:
        folder: Contains ``answer`` (the bytes of the response), ``tls.pem`` (certificate) and ``tls.key``.
    """
    answer = (folder / "answer").read_bytes()

    async def echo(_request: bytes, _context: object) -> bytes:
        return answer

    method = grpc.unary_unary_rpc_method_handler(echo)

    class Every(grpc.GenericRpcHandler):  # type: ignore[type-arg] # of bytes
        """Serves whatever is called."""

        def service(self, _details: grpc.HandlerCallDetails) -> Any:
            return method

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Every(),))
    pair = ((folder / "tls.key").read_bytes(), (folder / "tls.pem").read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
