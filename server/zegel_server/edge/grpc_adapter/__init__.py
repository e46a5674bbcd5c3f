"""The gRPC adapter: the server, its handlers, the peer's address and certificate, and errors as gRPC sends them."""
