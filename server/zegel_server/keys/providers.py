"""The key providers of an installation: its own, and those that tenants bring.

To its callers this is a single `RootKeys`. A tenant's root keys are made in the provider that the tenant's row names,
or in the installation's if it names none. A root key of a tenant's own provider is stored as
``<provider>:<root key id>``, so a wrapped key goes back to the provider that wrapped it, even after the tenant has
been assigned to another.

Invariants:

* A provider that does not answer is asked only now and then, and a tenant has a share of the calls to it.
* A provider that does not answer, or that a row names and the settings do not, fails only the calls that need it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from sqlalchemy import select

from zegel_server.config import INSTALLATION
from zegel_server.crypto import KeyDestroyed, RootKeyInfo, RootKeys, WrappedKey
from zegel_server.crypto.root_keys import DEFAULT_PURPOSE, UnknownRootKey, provider_unavailable
from zegel_server.db import Database, Statement, bind
from zegel_server.db.schema import own_key_providers
from zegel_server.errors import FailedPrecondition, Unavailable, ZegelError
from zegel_server.neighbours.calls import Neighbour, NeighbourMetrics

T = TypeVar("T")

CALL_S: Final = 15.0
"""Seconds for a call, waiting for its turn included; providers give their own calls up before."""

QUICK_S: Final = 1.0
"""Seconds within which a provider's failure keeps nobody waiting: a tenant that gives its key back is served soon."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

_ASSIGNED: Final = Statement(
    select(own_key_providers.c.key_provider).where(own_key_providers.c.tenant_id == bind("tenant_id"))
)


class RootKeyGone(FailedPrecondition):
    """A tenant's own provider no longer has the root key: the tenant withdrew or destroyed it there."""

    def __init__(self) -> None:
        super().__init__(
            "The tenant's own key provider no longer has the key; what it protects cannot be read.",
            state="ROOT_KEY_GONE",
        )


def is_key_away(error: ZegelError) -> bool:
    """Whether an error says that a tenant's key is unavailable: its provider does not answer, or the key was withdrawn.

    Args:
        error: What unwrapping it raised.
    """
    away = isinstance(error, Unavailable) and error.metadata.get("dependency") == "key_provider"
    return away or isinstance(error, RootKeyGone | KeyDestroyed)


def check_name(name: str) -> str:
    """Check a provider's name and return it: 1 to 63 lower-case letters, digits and ``-``.

    Raises:
        ValueError: The name is malformed, or is the one that means the installation's own provider.
    """
    if not _NAME.fullmatch(name) or name == INSTALLATION:
        raise ValueError(
            f"a key provider's name is 1 to 63 lower-case letters, digits and '-', and not {INSTALLATION!r}"
        )
    return name


def provider_of(root_key_id: str) -> str:
    """Return the name of the provider that a stored root key identifier names; empty for the installation's."""
    return root_key_id.rpartition(":")[0]


class KeyProviders:
    """A `RootKeys` over several providers.

    Args:
        database: Where the assignments are.
        installation: The installation's own provider.
        own: The tenants' own providers, by name.
        metrics: Where it is told how they do.

    Raises:
        ValueError: A name is malformed.
    """

    def __init__(
        self,
        database: Database,
        installation: RootKeys,
        own: Mapping[str, RootKeys] | None = None,
        metrics: NeighbourMetrics | None = None,
    ) -> None:
        self._database = database
        self._providers = {"": installation} | {check_name(name): each for name, each in (own or {}).items()}
        self._neighbours = {
            name: Neighbour("key_provider", lambda _: provider_unavailable(), CALL_S, metrics=metrics, quick_s=QUICK_S)
            for name in self._providers
        }

    @property
    def names(self) -> list[str]:
        """The names of all open providers; the installation's is empty."""
        return sorted(self._providers)

    def provider(self, name: str) -> RootKeys:
        """Return a provider.

        Args:
            name: Its name; empty for the installation's.

        Raises:
            Unavailable: The settings do not name it.
        """
        found = self._providers.get(name)
        if found is None:
            raise Unavailable("The tenant's key provider is not set up on this server.", dependency="key_provider")
        return found

    async def assigned(self, purpose: str) -> str:
        """Return the name of the provider in which root keys of a purpose are made; empty for the installation's."""
        row = await self._database.fetch_one(_ASSIGNED, tenant_id=purpose)
        return "" if row is None else str(row.key_provider)

    async def create(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """See `RootKeys.create`."""
        name = await self.assigned(purpose)
        return _qualified(name, await self._ask(name, lambda: self.provider(name).create(purpose), purpose))

    async def ensure(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """See `RootKeys.ensure`."""
        name = await self.assigned(purpose)
        return _qualified(name, await self._ask(name, lambda: self.provider(name).ensure(purpose), purpose))

    async def primary(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """See `RootKeys.primary`."""
        name = await self.assigned(purpose)
        return _qualified(name, await self._ask(name, lambda: self.provider(name).primary(purpose), purpose))

    async def wrap(self, key: bytes, purpose: str = DEFAULT_PURPOSE) -> WrappedKey:
        """See `RootKeys.wrap`."""
        return await self.wrap_in(await self.assigned(purpose), key, purpose)

    async def wrap_in(self, name: str, key: bytes, purpose: str) -> WrappedKey:
        """Wrap a key with a purpose's primary of one provider; otherwise as `RootKeys.wrap`."""
        wrapped = await self._ask(name, lambda: self.provider(name).wrap(key, purpose), purpose)
        return replace(wrapped, root_key_id=_qualified(name, wrapped.root_key_id))

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        """See `RootKeys.unwrap`.

        Raises:
            RootKeyGone: The provider is a tenant's own, and no longer has the root key.
        """
        name, _, root_key_id = wrapped.root_key_id.rpartition(":")
        try:
            bare = replace(wrapped, root_key_id=root_key_id)
            return await self._ask(name, lambda: self.provider(name).unwrap(bare), name)
        except UnknownRootKey:
            if name:
                raise RootKeyGone from None
            raise

    async def destroy(self, root_key_id: str) -> None:
        """See `RootKeys.destroy`."""
        name, _, own_id = root_key_id.rpartition(":")
        await self._ask(name, lambda: self.provider(name).destroy(own_id))

    async def list_in(self, name: str, purpose: str | None = None) -> list[RootKeyInfo]:
        """Return the root keys of one provider, oldest first.

        Args:
            name: Its name; empty for the installation's.
            purpose: Only those of this purpose; all if left out.
        """
        found = await self._ask(name, lambda: self.provider(name).list(purpose))
        return [replace(each, root_key_id=_qualified(name, each.root_key_id)) for each in found]

    async def list(self, purpose: str | None = None) -> list[RootKeyInfo]:
        """See `RootKeys.list`: for one purpose, those in its provider and in the installation's; otherwise all."""
        names = self.names if purpose is None else sorted({"", await self.assigned(purpose)})
        return [each for name in names for each in await self.list_in(name, purpose)]

    async def _ask(self, name: str, work: Callable[[], Awaitable[T]], purpose: str = "") -> T:
        neighbour = self._neighbours.get(name)
        return await work() if neighbour is None else await neighbour.call(work, purpose)

    async def close(self) -> None:
        """See `RootKeys.close`."""
        for each in self._providers.values():
            await each.close()


def _qualified(name: str, root_key_id: str) -> str:
    return f"{name}:{root_key_id}" if name else root_key_id
