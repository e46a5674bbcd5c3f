"""The key providers of an installation: its own, and those that tenants bring.

To who uses it this is one `RootKeys`. Each tenant's root keys are made in the provider that its row names; where it
names none, in the installation's. A root key of a tenant's own provider is known by ``<provider>:<root key id>``, so
what was wrapped with it goes to that provider and to no other, whatever the tenant's row says by then.

Invariants:

* A provider is asked only for what it wrapped, and only for tenants that it is assigned to.
* One that is away, or is named in a row and not in the settings, fails the calls that need it, and no others.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sqlalchemy import select

from zegel_server.crypto import KeyDestroyed, RootKeyInfo, RootKeys, WrappedKey
from zegel_server.crypto.root_keys import DEFAULT_PURPOSE, UnknownRootKey
from zegel_server.db import Database, Statement, bind
from zegel_server.db.schema import own_key_providers
from zegel_server.errors import FailedPrecondition, Unavailable, ZegelError

INSTALLATION: Final = "installation"
"""What an operator calls the installation's own provider; in rows it is the empty name."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

_ASSIGNED: Final = Statement(
    select(own_key_providers.c.key_provider).where(own_key_providers.c.tenant_id == bind("tenant_id"))
)


class RootKeyGone(FailedPrecondition):
    """A tenant's own provider has not the root key any more: the tenant took it away, or destroyed it there."""

    def __init__(self) -> None:
        super().__init__(
            "The tenant's own key provider does not have the key any more; what it protects cannot be read.",
            state="ROOT_KEY_GONE",
        )


def is_key_away(error: ZegelError) -> bool:
    """Whether an error says that a tenant's key is not to be had: its provider is away, or the key was taken away.

    Args:
        error: What unwrapping it raised.
    """
    away = isinstance(error, Unavailable) and error.metadata.get("dependency") == "key_provider"
    return away or isinstance(error, RootKeyGone | KeyDestroyed)


def check_name(name: str) -> str:
    """Return a provider's name that is well formed: 1 to 63 lower-case letters, digits and ``-``.

    Raises:
        ValueError: It is not, or is the one that means the installation's own.
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
        own: Those that tenants bring, by name.

    Raises:
        ValueError: A name is malformed.
    """

    def __init__(self, database: Database, installation: RootKeys, own: Mapping[str, RootKeys] | None = None) -> None:
        self._database = database
        self._providers = {"": installation} | {check_name(name): each for name, each in (own or {}).items()}

    @property
    def names(self) -> list[str]:
        """Names of all of them that are open; the installation's is empty."""
        return sorted(self._providers)

    def provider(self, name: str) -> RootKeys:
        """Return one of them.

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
        return _qualified(name, await self.provider(name).create(purpose))

    async def ensure(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """See `RootKeys.ensure`."""
        name = await self.assigned(purpose)
        return _qualified(name, await self.provider(name).ensure(purpose))

    async def primary(self, purpose: str = DEFAULT_PURPOSE) -> str:
        """See `RootKeys.primary`."""
        name = await self.assigned(purpose)
        return _qualified(name, await self.provider(name).primary(purpose))

    async def wrap(self, key: bytes, purpose: str = DEFAULT_PURPOSE) -> WrappedKey:
        """See `RootKeys.wrap`."""
        return await self.wrap_in(await self.assigned(purpose), key, purpose)

    async def wrap_in(self, name: str, key: bytes, purpose: str) -> WrappedKey:
        """Wrap a key with a purpose's primary of one provider; otherwise as `RootKeys.wrap`."""
        wrapped = await self.provider(name).wrap(key, purpose)
        return replace(wrapped, root_key_id=_qualified(name, wrapped.root_key_id))

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        """See `RootKeys.unwrap`.

        Raises:
            RootKeyGone: It is a tenant's own provider, which does not have the root key.
        """
        name, _, root_key_id = wrapped.root_key_id.rpartition(":")
        try:
            return await self.provider(name).unwrap(replace(wrapped, root_key_id=root_key_id))
        except UnknownRootKey:
            if name:
                raise RootKeyGone from None
            raise

    async def destroy(self, root_key_id: str) -> None:
        """See `RootKeys.destroy`."""
        name, _, own_id = root_key_id.rpartition(":")
        await self.provider(name).destroy(own_id)

    async def list_in(self, name: str, purpose: str | None = None) -> list[RootKeyInfo]:
        """Return the root keys of one provider, oldest first.

        Args:
            name: Its name; empty for the installation's.
            purpose: Of which purpose; all where left out.
        """
        found = await self.provider(name).list(purpose)
        return [replace(each, root_key_id=_qualified(name, each.root_key_id)) for each in found]

    async def list(self, purpose: str | None = None) -> list[RootKeyInfo]:
        """See `RootKeys.list`: of one purpose, those of its provider and of the installation's; else all."""
        names = self.names if purpose is None else sorted({"", await self.assigned(purpose)})
        return [each for name in names for each in await self.list_in(name, purpose)]

    async def close(self) -> None:
        """See `RootKeys.close`."""
        for each in self._providers.values():
            await each.close()


def _qualified(name: str, root_key_id: str) -> str:
    return f"{name}:{root_key_id}" if name else root_key_id
