"""ETags (AIP-154): compare what a caller read last with what is there now."""

from zegel_server.errors import Aborted


def of(revision: int) -> str:
    """The etag of a resource.

    Args:
        revision: How often the resource was changed.
    """
    return f'"{revision}"'


def check(read: str, revision: int | None, resource: str) -> None:
    """Refuses a change if the resource was changed since its caller read it.

    Args:
        read: The etag that the caller read; empty to overwrite whatever is there.
        revision: The resource's current revision; ``None`` if there is no such resource.
        resource: Its kind, such as ``signature_request``, for the refusal.

    Raises:
        Aborted: It was changed since, or the etag was not made by this server (``ETAG_MISMATCH``).
    """
    if read and (revision is None or read != of(revision)):
        raise changed(resource)


def changed(resource: str) -> Aborted:
    """The refusal of a change to a resource that was changed since it was read.

    Args:
        resource: Its kind, such as ``signature_request``.
    """
    return Aborted(f"The {resource.replace('_', ' ')} was changed since it was read; read it again.")
