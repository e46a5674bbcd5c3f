"""Opens the provider of root keys that a URL names."""

from pathlib import Path

from zegel_server.crypto.local_keyring import LocalKeyring
from zegel_server.crypto.root_keys import RootKeys

__all__ = ["open_root_keys"]


def open_root_keys(url: str) -> RootKeys:
    """Open a provider of root keys.

    Args:
        url: ``local:<path of the keyring file>``.

    Raises:
        ValueError: The URL is of another kind, or malformed.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "local" if rest:
            return LocalKeyring(Path(rest))
        case _:
            raise ValueError("a key provider's URL is local:<path>")
