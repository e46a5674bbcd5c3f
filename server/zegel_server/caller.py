"""The caller of a request, and what policy allows it to do at this moment.

Invariants:

* A ``Caller`` exists for one request. It is made from what the database said during that request, and never kept.
* Only ``scopes`` says what it may do; an unknown permission has none.
* Somebody else's resource counts as a caller's own only through a ``Share``, and only for work: documents, signature
  requests and their trails. Sessions, keys, roles and personal records are never shared.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextvars import ContextVar
from enum import IntFlag, StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from zegel_server.errors import NotFound, PermissionDenied, Unauthenticated


class Scope(IntFlag):
    """Whose resources a permission covers; scopes can be combined."""

    NONE = 0
    OWN = 1
    PARTY = 2
    ANY = 4


_OWN: Final = int(Scope.OWN)
_PARTY: Final = int(Scope.PARTY)
_ANY: Final = int(Scope.ANY)


UNNAMED: Final = "-"
"""A name that never belongs to anybody or anything, since it is not a valid identifier."""


class PrincipalKind(StrEnum):
    """What a caller is."""

    API_KEY = "API_KEY"
    MEMBER = "MEMBER"
    SIGNER = "SIGNER"


class Origin(NamedTuple):
    """Where a call came from. This is personal data, so it is recorded only in encrypted form, in the audit trail.

    Attributes:
        address: Network address of the peer.
        user_agent: The client's user agent.
        asserted_address: Network address of the signer whom the client calls for, as the client says.
        asserted_user_agent: That signer's program, likewise.
        asserted_time_zone: The time zone of that signer's device, likewise.
    """

    address: str = ""
    user_agent: str = ""
    asserted_address: str = ""
    asserted_user_agent: str = ""
    asserted_time_zone: str = ""

    @property
    def asserted(self) -> tuple[str, ...]:
        """What of the signer's origin the client says, by name; nothing personal."""
        return tuple(name for name in ("address", "time_zone", "user_agent") if getattr(self, f"asserted_{name}"))


WORK: Final = frozenset({"document", "signature_request", "audit"})
"""Kinds of resources whose permissions a share can include."""


GIVING: Final = frozenset({"document.move", "signature_request.move"})
"""Permissions to give work away. No delegation includes them: what was given away would outlast the delegation."""


class Share(NamedTuple):
    """Why somebody else's resources count as a caller's own: a team that it is in, or a delegation to it.

    Attributes:
        owner_id: Whose resources: the team, or the member who delegates.
        delegation_id: The delegation; empty for a team.
        expire_time: When it expires, in microseconds since the epoch; ``None`` for never.
        permissions: Permissions that the delegation is limited to; ``None`` for no limit.
        delegator: Returns the scopes in which policy allows the delegator a permission; ``None`` for a team.
    """

    owner_id: str
    delegation_id: str = ""
    expire_time: int | None = None
    permissions: frozenset[str] | None = None
    delegator: Callable[[str], Scope] | None = None

    def holds(self, permission: str) -> bool:
        """Whether it includes a permission at this moment, for a caller that has the permission for its own resources.

        Args:
            permission: As ``<resource>.<verb>``.
        """
        kind = permission.partition(".")[0]
        if self.delegator is None:
            return kind in WORK or kind == "team"
        return (
            kind in WORK
            and permission not in GIVING
            and (self.permissions is None or permission in self.permissions)
            and bool(int(self.delegator(permission)) & (_OWN | _ANY))
        )


NO_SHARES: Final[Mapping[str, Share]] = MappingProxyType({})
"""The shares of nearly every caller: none."""


FRESH: Final[Mapping[str, int]] = MappingProxyType({})
"""Permissions that need a fresh authentication: none."""
STEP_UP: Final = "STEP_UP_REQUIRED"
"""The reason for refusing a caller that must authenticate again."""


class Caller(NamedTuple):
    """Who calls.

    Attributes:
        tenant_id: The tenant it works in.
        principal_id: Identifier of the member, API key or signature that calls.
        kind: Which of the three.
        session_id: Identifier of the session, or of the API key.
        subject_id: The person whose personal data the call's origin is.
        signature_request_id: The only signature request that a signer's session gives access to; empty for others.
        policy_version: Version of the tenant's policy that decides.
        decide: Returns the scopes in which policy allows a permission.
        narrowed: Permissions that the session is limited to; empty for no limit.
        origin: Where the call came from.
        certificate: SHA-256 of the client's certificate, if it presents one; empty otherwise.
        shares: By owner, why other people's resources count as the caller's own.
        acting: The delegation by which it acts here; ``None`` if it acts for itself or as a member of a team.
        stale: Sensitive permissions that its authentication is too old for, each with the maximum age in seconds.
    """

    tenant_id: str
    principal_id: str
    kind: PrincipalKind
    session_id: str
    subject_id: str
    signature_request_id: str
    policy_version: int
    decide: Callable[[str], Scope]
    narrowed: Collection[str] = ()
    origin: Origin = Origin()
    certificate: bytes = b""
    shares: Mapping[str, Share] = NO_SHARES
    acting: Share | None = None
    stale: Mapping[str, int] = FRESH

    def scopes(self, permission: str) -> Scope:
        """Whose resources the caller may use a permission on at this moment.

        Args:
            permission: As ``<resource>.<verb>``.

        Raises:
            Unauthenticated: It has the permission, but authenticated too long ago to use it (``STEP_UP_REQUIRED``).
        """
        if self.narrowed and permission not in self.narrowed:
            return Scope.NONE
        scopes = self.decide(permission)
        if self.stale and scopes and permission in self.stale:
            raise step_up(permission, self.stale[permission])
        return scopes

    def holds(self, permission: str) -> Scope:
        """Whose resources the caller has a permission for, even if its authentication is too old to use it.

        Args:
            permission: As ``<resource>.<verb>``.
        """
        if self.narrowed and permission not in self.narrowed:
            return Scope.NONE
        return self.decide(permission)

    def demand_fresh(self) -> None:
        """Refuses a caller whose authentication is too old for any permission that its tenant marks as sensitive.

        Raises:
            Unauthenticated: It is (``STEP_UP_REQUIRED``).
        """
        for permission, seconds in self.stale.items():
            raise step_up(permission, seconds)

    def demand(self, permission: str) -> Scope:
        """Like ``scopes``, but refuses a caller that does not have the permission at all.

        Args:
            permission: As ``<resource>.<verb>``.

        Raises:
            PermissionDenied: No role of the caller has it.
        """
        scopes = self.scopes(permission)
        if not scopes:
            raise denied(permission)
        return scopes

    def reaches(self, permission: str, *, owner_id: str, party: bool = False) -> bool:
        """Whether the caller may do something to a resource of its tenant.

        Args:
            permission: As ``<resource>.<verb>``.
            owner_id: The resource's owner.
            party: Whether the caller is a party to it.
        """
        scopes = int(self.scopes(permission))  # an enum's operators would take longer than everything else here
        if scopes & _ANY or (scopes & _OWN and owner_id == self.principal_id) or (scopes & _PARTY and party):
            return True
        share = self.shares.get(owner_id) if scopes & _OWN else None
        return share is not None and share.holds(permission)

    def shared(self, permission: str) -> tuple[str, ...]:
        """The others whose resources the caller may use a permission on that it has for its own.

        Args:
            permission: As ``<resource>.<verb>``.
        """
        if not self.shares or not self.holds(permission) & Scope.OWN:
            return ()
        return tuple(owner_id for owner_id, share in self.shares.items() if share.holds(permission))

    def owners(self, permission: str) -> tuple[str, ...]:
        """The owners of all resources that count as the caller's own for a permission, the caller first.

        Args:
            permission: As ``<resource>.<verb>``.

        Returns:
            Nobody if the caller does not have the permission for its own resources.
        """
        if not self.scopes(permission) & Scope.OWN:
            return ()
        return (self.principal_id, *self.shared(permission))

    def reach(self, *permissions: str, party: bool = False) -> str:
        """Whose resources a query may find: the value for the parameter of ``db.owned_by``.

        It is part of the query, so what the caller may not see is not found, and takes as long as a missing resource.

        Args:
            permissions: The permissions, all of which the caller must have for a resource.
            party: Whether the query finds only what the caller is a party to.
        """
        found: tuple[str, ...] | None = None
        for permission in permissions:
            scopes = int(self.scopes(permission))
            if scopes & _ANY or (party and scopes & _PARTY):
                continue
            owners = self.owners(permission)
            found = owners if found is None else tuple(each for each in found if each in owners)
        if found is None:
            return ""
        return f",{','.join(found)}," if found else UNNAMED

    def acts_on(self, permission: str, owner_id: str) -> "Caller":
        """The caller as it acts on somebody's resource, so that an event made from it names the delegation.

        Args:
            permission: The permission that it uses.
            owner_id: The resource's owner.
        """
        share = self.shares.get(owner_id)
        if share is None or not share.delegation_id or self.scopes(permission) & Scope.ANY:
            return self
        return self._replace(acting=share)

    def require(self, permission: str, kind: str, *, owner_id: str, party: bool = False) -> None:
        """Refuses a resource that the caller may not use as if it did not exist.

        Args:
            permission: As ``<resource>.<verb>``.
            kind: The resource's kind, such as ``document``.
            owner_id: Its owner.
            party: Whether the caller is a party to it.

        Raises:
            NotFound: The caller may not use it.
        """
        if not self.reaches(permission, owner_id=owner_id, party=party):
            raise NotFound(kind)

    def owner_filter(self, permission: str) -> str:
        """The owner that a list is restricted to; empty for no restriction.

        Args:
            permission: As ``<resource>.<verb>``.

        Returns:
            The caller itself, or ``UNNAMED`` if it does not have the permission for its own resources.
        """
        scopes = self.scopes(permission)
        if scopes & Scope.ANY:
            return ""
        return self.principal_id if scopes & Scope.OWN else UNNAMED


def step_up(permission: str, max_age: int) -> Unauthenticated:
    """The refusal of a caller that must authenticate again for a sensitive permission (RFC 9470).

    Args:
        permission: As ``<resource>.<verb>``.
        max_age: The maximum age of an authentication for it, in seconds.
    """
    return Unauthenticated(
        f"The permission {permission} requires an authentication within the last {max_age} seconds.",
        reason="STEP_UP_REQUIRED",
        permission=permission,
        max_age=str(max_age),
    )


def denied(permission: str) -> PermissionDenied:
    """The refusal of a caller that does not have a permission.

    Args:
        permission: As ``<resource>.<verb>``.
    """
    return PermissionDenied(f"The caller does not hold the permission {permission}.", permission=permission)


_current: Final[ContextVar[Caller]] = ContextVar("caller")


def current_caller() -> Caller:
    """The caller of the request that this task serves.

    Raises:
        LookupError: The task serves no request, which is a bug.
    """
    return _current.get()


def set_caller(caller: Caller) -> None:
    """Sets the caller of the request that this task serves; the edge does so once for each request.

    Args:
        caller: Who calls.
    """
    _current.set(caller)
    set_tenant(caller.tenant_id)


_tenant: Final[ContextVar[str]] = ContextVar("tenant", default="")


def current_tenant() -> str:
    """The tenant that this task works for; empty for the installation itself."""
    return _tenant.get()


def set_tenant(tenant_id: str) -> None:
    """Sets the tenant that this task works for: whose turns it takes where tenants take turns.

    Args:
        tenant_id: The tenant.
    """
    _tenant.set(tenant_id)


Check = Callable[[], Awaitable[None]]
"""Raises when something no longer holds."""

_watch: Final[ContextVar[Callable[[Check], None]]] = ContextVar("watch")


def keep_checking(check: Check) -> None:
    """Repeats a check for as long as this task's stream runs; the stream ends with what the check raises.

    Args:
        check: The check.

    Raises:
        LookupError: The task serves no stream, which is a bug.
    """
    _watch.get()(check)


def set_watch(watch: Callable[[Check], None]) -> None:
    """Sets what watches the stream that this task serves; the edge does so once for each stream.

    Args:
        watch: Starts repeating a check.
    """
    _watch.set(watch)
