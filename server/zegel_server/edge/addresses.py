"""Network addresses of callers, from their text form."""

import ipaddress
from functools import lru_cache
from typing import Final

IPV6_SITE: Final = 64
"""Bits of an IPv6 address that identify a site: whoever has one address usually has all that share these bits."""


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parses an address; an IPv4 address mapped into IPv6 becomes the IPv4 address, and a zone is dropped.

    Args:
        text: The address, without a port.

    Returns:
        The address, or ``None`` if the text is not one.
    """
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, ipaddress.IPv6Address) else parsed


@lru_cache(maxsize=4_096)
def site_of(address: str) -> str:
    """The key that an address counts under: an IPv4 address itself, or the site of an IPv6 address.

    Args:
        address: The address; text that is not an address is returned as it is.
    """
    parsed = parse_address(address)
    if parsed is None:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, IPV6_SITE), strict=False))
    return str(parsed)
