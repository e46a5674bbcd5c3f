"""Errors as gRPC sends them: a code, a message, and the whole status in the trailing metadata."""

from typing import Final

import grpc

from zegel_server.edge.status import status_of
from zegel_server.errors import StatusCode, ZegelError

DETAILS_KEY: Final = "grpc-status-details-bin"
"""The trailing metadata in which gRPC carries a ``google.rpc.Status``."""

_CODES: Final = {each: grpc.StatusCode[each.name] for each in StatusCode}


def rich_status(error: ZegelError) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """The code, its message, and the trailing metadata that carry its details.

    Args:
        error: The error to send.
    """
    return _CODES[error.status], error.message, ((DETAILS_KEY, status_of(error).SerializeToString()),)
