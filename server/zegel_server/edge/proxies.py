"""The origin of a call, if there is a proxy in front of the server.

Anybody can send these headers, so they are trusted only from addresses that the operator names. Each proxy appends the
address that it received the request from (``X-Forwarded-For``; ``Forwarded`` in RFC 7239). So the list is read from its
end, for as long as its entries are named proxies; the first that is not is the client.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final, Literal

from zegel_server.edge.addresses import parse_address
from zegel_server.edge.call import Metadata

Header = Literal["x-forwarded-for", "forwarded"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_LENGTH: Final = 2_048
"""How many characters of a header are read, from its end: a caller may have put anything at its beginning."""
_FOR: Final = re.compile(r'(?:^|;)\s*for\s*=\s*("[^"]*"|[^;\s]*)', re.IGNORECASE)
_PORT: Final = re.compile(r":\d{1,5}$")


class Proxies:
    """The trusted proxies.

    Args:
        networks: Their addresses.
        header: Which header they set. Only that one is read, since they pass on the other as the client sent it.
    """

    def __init__(self, networks: Sequence[Network] = (), header: Header = "x-forwarded-for") -> None:
        self._networks = tuple(networks)
        self._header = header

    def client_of(self, peer: str, metadata: Metadata) -> str:
        """The client's network address.

        Args:
            peer: The address at the other end of the connection.
            metadata: The request's metadata.

        Returns:
            The address; if a header entry is not an address, the last one before it.
        """
        if not self._networks or not self.believes(peer):
            return peer
        told = ",".join(str(value) for key, value in metadata if key == self._header)[-MAX_LENGTH:]
        client = peer
        for entry in reversed(told.split(",")):
            address = _address(_node(entry) if self._header == "forwarded" else entry)
            if not address:
                break
            client = address
            if not self.believes(address):
                break
        return client

    def believes(self, address: str) -> bool:
        """Whether an address is a trusted proxy's.

        Args:
            address: The address.
        """
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def _node(element: str) -> str:
    found = _FOR.search(element)
    return found[1].strip('"') if found else ""


def _address(text: str) -> str:
    """Parses an address of a header, perhaps with a port; an IPv6 address with a port is in brackets."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = _PORT.sub("", text)
    parsed = parse_address(text)
    return "" if parsed is None else str(parsed)
