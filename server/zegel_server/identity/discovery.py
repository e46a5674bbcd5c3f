"""The keys of OpenID Connect providers: found by discovery (OpenID Connect Discovery 1.0), and kept for a while.

Invariants:

* A tenant names the issuer, so what is fetched is fetched from the open internet over TLS, and nothing else: an address
  is looked up, checked, and then connected to. Only origins that the operator allows may be inside, or without TLS.
* No redirect is followed; what is read is bounded in size and time.
* Keys are kept for ``KEPT_S`` at most. For a key that is not among them they are fetched again, once in ``AGAIN_S``.
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

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from zegel_server.errors import Unavailable
from zegel_server.identity.id_tokens import Key, import_keys

KEPT_S: Final = 3_600.0
"""How long keys are used without asking again: a key that the provider takes back is good for so long."""
AGAIN_S: Final = 60.0
"""How often they are asked for at most because of a key that is not among them."""
FAILED_S: Final = 5.0
"""How long a provider that did not answer is left alone."""
TIMEOUT_S: Final = 5.0
"""How long a document may take, its connection included."""
MAX_DOCUMENT: Final = 256 * 1_024
"""Bytes of a document: a hundred keys have a fifth of it."""
MAX_ISSUERS: Final = 1_000
"""Issuers whose keys are kept."""
MAX_URL: Final = 2_048

_PORTS: Final = {"https": 443, "http": 80}


class _WrongError(Exception):
    """A provider's document is not what it should be, or it is not to be fetched."""


class _InsideError(OSError):
    """A host has no address on the open internet."""


def origin_of(url: str) -> str | None:
    """The origin of a URL that can be asked at all; ``None`` for others.

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
    """Whether a URL may be asked, as far as it says itself.

    Args:
        url: The URL.
        allowed: Origins that may be inside, or without TLS.
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
        return True  # a name: its addresses are checked when it is looked up


def is_outside(address: str) -> bool:
    """Whether an address is one of the open internet.

    Args:
        address: The address.

    Raises:
        ValueError: It is none.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else None)
        if inner is not None:
            return is_outside(str(inner))
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


class _Resolver(AbstractResolver):
    """Looks names up, and gives none but addresses that may be connected to."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = {origin.partition("://")[2] for origin in allowed}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        results = [
            ResolveResult(
                hostname=host,
                host=str(place[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, place in found
        ]
        if f"{host}:{port}" not in self._allowed:
            results = [each for each in results if is_outside(each["host"].partition("%")[0])]
        if not results:
            raise _InsideError(host)
        return results

    async def close(self) -> None:
        """Has nothing open."""


@dataclass(slots=True)
class _Known:
    """What is kept of one issuer."""

    keys: Sequence[Key] = ()
    fetched: float = float("-inf")
    failed: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ProviderKeys:
    """The keys of providers.

    Args:
        allowed: Origins that may be inside, or without TLS.
    """

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self.allowed = frozenset(filter(None, map(origin_of, allowed)))
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._session: aiohttp.ClientSession | None = None

    async def of(self, issuer: str, *, missing: bool = False) -> Sequence[Key]:
        """The keys of a provider.

        Args:
            issuer: Its issuer.
            missing: Whether one was looked for in vain among those that are kept.

        Raises:
            Unavailable: The provider does not answer, or not as one does.
        """
        known = self._known.get(issuer)
        if known is None:
            known = self._known[issuer] = _Known()
            while len(self._known) > MAX_ISSUERS:
                self._known.popitem(last=False)
        self._known.move_to_end(issuer)
        async with known.lock:
            now = time.monotonic()
            if now - known.fetched < (AGAIN_S if missing else KEPT_S):
                return known.keys
            if now - known.failed < FAILED_S:
                raise unavailable()
            try:
                async with asyncio.timeout(2 * TIMEOUT_S):
                    known.keys = await self._fetch(issuer)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError, _WrongError):
                known.failed = time.monotonic()
                raise unavailable() from None
            known.fetched = time.monotonic()
            return known.keys

    async def _fetch(self, issuer: str) -> Sequence[Key]:
        about = await self._get(issuer.removesuffix("/") + "/.well-known/openid-configuration")
        if about.get("issuer") != issuer:
            raise _WrongError
        return import_keys((await self._get(about.get("jwks_uri"))).get("keys"))

    async def _get(self, url: Any) -> dict[str, Any]:
        if not isinstance(url, str) or not may_ask(url, self.allowed):
            raise _WrongError
        session = self._open()
        async with session.get(url, allow_redirects=False) as response:
            if response.status != 200:  # noqa: PLR2004 - HTTP's word for it
                raise _WrongError
            data = bytearray()
            async for chunk in response.content.iter_chunked(16_384):
                data += chunk
                if len(data) > MAX_DOCUMENT:
                    raise _WrongError
        found = json.loads(data)
        if not isinstance(found, dict):
            raise _WrongError
        return found

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=_Resolver(self.allowed), use_dns_cache=False, limit=16)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept": "application/json", "User-Agent": "zegel"},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Ends the connections."""
        if self._session is not None:
            await self._session.close()


def unavailable() -> Unavailable:
    """The refusal where a provider does not answer."""
    return Unavailable("The identity provider does not answer; try again.", dependency="identity_provider")
