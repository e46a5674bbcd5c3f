"""gRPC to the stages of a request: the server, its handlers, who is at the other end, and how errors are sent."""
