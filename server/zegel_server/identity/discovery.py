"""The keys of OpenID Connect providers: found by discovery (OpenID Connect Discovery 1.0), and cached.

Invariants:

* The issuer is a tenant's choice, so documents are fetched only from the open internet and over TLS: a host is
  resolved, its address checked, and that address connected to. Only origins that the operator allows may be internal or
  plain HTTP.
* No redirect is followed; documents are bounded in size and time.
* Keys are cached for at most ``KEPT_S``. An unknown key makes them fetched again, at most once per ``AGAIN_S``.
"""

import asyncio
import ipaddress
import json
import socket
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from zegel_server.errors import Unavailable
from zegel_server.identity.id_tokens import Key, import_keys
from zegel_server.neighbours import http
from zegel_server.neighbours.calls import Breaker, Neighbour, NeighbourMetrics, Shares

KEPT_S: Final = 3_600.0
"""Seconds that keys are cached: for so long a key that the provider withdraws is still accepted."""
AGAIN_S: Final = 60.0
"""Least seconds between two fetches because of an unknown key."""
FAILED_S: Final = 5.0
"""Seconds before a provider that did not answer is asked again."""
TIMEOUT_S: Final = 10.0
"""How long both documents may take together, connections included."""
MAX_DOCUMENT: Final = 256 * 1_024
"""Bytes of a document: a hundred keys take a fifth of that."""
MAX_ISSUERS: Final = 1_000
"""Issuers whose keys are cached."""
MAX_URL: Final = 2_048

_PORTS: Final = {"https": 443, "http": 80}


class _WrongError(Exception):
    """A provider's document is malformed, or must not be fetched."""


class _InsideError(OSError):
    """A host has no address on the open internet."""


def origin_of(url: str) -> str | None:
    """The origin of a URL that may be requested at all; ``None`` for others.

    Args:
        url: The URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    whole = url.isascii() and url.isprintable() and " " not in url and len(url) <= MAX_URL
    if not whole or port is None or not parts.hostname or "@" in parts.netloc or parts.fragment:
        return None
    return f"{parts.scheme}://{parts.hostname}:{port}"


def may_ask(url: str, allowed: Collection[str]) -> bool:
    """Whether a URL may be requested, judging by the URL alone.

    Args:
        url: The URL.
        allowed: Origins that may be internal or without TLS.
    """
    origin = origin_of(url)
    if origin is None:
        return False
    if origin in allowed:
        return True
    if not origin.startswith("https://"):
        return False
    host = urlsplit(url).hostname or ""
    try:
        return is_outside(host)
    except ValueError:
        return True  # a host name: its addresses are checked when it is resolved


def is_outside(address: str) -> bool:
    """Whether an address is on the open internet.

    Args:
        address: The address.

    Raises:
        ValueError: It is not an IP address.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else None)
        if inner is not None:
            return is_outside(str(inner))
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


class _Resolver(AbstractResolver):
    """Resolves names, and returns only addresses that may be connected to."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = {origin.partition("://")[2] for origin in allowed}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        results = [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]
        if f"{host}:{port}" not in self._allowed:
            results = [each for each in results if is_outside(each["host"].partition("%")[0])]
        if not results:
            raise _InsideError(host)
        return results

    async def close(self) -> None:
        """Does nothing: there is nothing to close."""


@dataclass(slots=True)
class _Known:
    """What is cached about one issuer."""

    neighbour: Neighbour
    keys: Sequence[Key] = ()
    fetched: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ProviderKeys:
    """Fetches and caches the keys of providers.

    Args:
        allowed: Origins that may be internal or without TLS.
        metrics: Where it is told how the providers do.
    """

    def __init__(self, allowed: Collection[str] = (), metrics: NeighbourMetrics | None = None) -> None:
        self.allowed = frozenset(filter(None, map(origin_of, allowed)))
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._shares = Shares()
        self._metrics = metrics

    async def of(self, issuer: str, tenant_id: str, *, missing: bool = False) -> Sequence[Key]:
        """The keys of a provider.

        Args:
            issuer: Its issuer.
            tenant_id: Who named it: has a share of the concurrent calls.
            missing: Whether a key was not found among the cached ones.

        Raises:
            Unavailable: The provider does not answer, or its answer is malformed.
        """
        known = self._known.get(issuer)
        if known is None:
            known = self._known[issuer] = _Known(self._neighbour())
            while len(self._known) > MAX_ISSUERS:
                self._known.popitem(last=False)
        self._known.move_to_end(issuer)
        async with known.lock:
            now = time.monotonic()
            if now - known.fetched < (AGAIN_S if missing else KEPT_S):
                return known.keys
            known.keys = await known.neighbour.call(lambda: self._fetch(issuer), tenant_id)
            known.fetched = time.monotonic()
            return known.keys

    def _neighbour(self) -> Neighbour:
        # One failure is enough: whoever signs in tries again by hand.
        breaker = Breaker(1, FAILED_S)
        return Neighbour(
            "identity_provider",
            lambda _: unavailable(),
            TIMEOUT_S,
            breaker=breaker,
            shares=self._shares,
            metrics=self._metrics,
        )

    async def _fetch(self, issuer: str) -> Sequence[Key]:
        about = await self._get(issuer.removesuffix("/") + "/.well-known/openid-configuration")
        if about.get("issuer") != issuer:
            raise _WrongError
        return import_keys((await self._get(about.get("jwks_uri"))).get("keys"))

    async def _get(self, url: Any) -> dict[str, Any]:
        if not isinstance(url, str) or not may_ask(url, self.allowed):
            raise _WrongError
        headers = {"Accept": "application/json"}
        resolver = _Resolver(self.allowed)
        answer = await http.ask("GET", url, headers=headers, max_bytes=MAX_DOCUMENT, resolver=resolver)
        found = json.loads(answer.body)
        if not isinstance(found, dict):
            raise _WrongError
        return found


def unavailable() -> Unavailable:
    """The error for a provider that does not answer."""
    return Unavailable("The identity provider does not answer; try again.", dependency="identity_provider")
