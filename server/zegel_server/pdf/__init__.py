"""PDF work: reading untrusted files in a sandboxed process, preparing them, sealing them.

Nothing is imported here: the worker process must be able to load this package without gRPC.
"""
