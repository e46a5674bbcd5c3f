"""Who calls, and what policy lets that caller do at this moment.

Invariants:

* A ``Caller`` lives for one request. It is made from what the database said at that request, and never kept.
* What it may do comes from ``scopes`` alone; an unknown permission has none.
* What another owns counts as a caller's own only through a ``Share``, and only for work: documents, signature requests
  and their trails. Nobody's sessions, keys, roles or person are ever shared.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextvars import ContextVar
from enum import IntFlag, StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from zegel_server.errors import NotFound, PermissionDenied, Unauthenticated


class Scope(IntFlag):
    """In whose resources a permission holds; scopes add up."""

    NONE = 0
    OWN = 1
    PARTY = 2
    ANY = 4


_OWN: Final = int(Scope.OWN)
_PARTY: Final = int(Scope.PARTY)
_ANY: Final = int(Scope.ANY)


UNNAMED: Final = "-"
"""A name that nothing and nobody has: it is no identifier."""


class PrincipalKind(StrEnum):
    """What a caller is."""

    API_KEY = "API_KEY"
    MEMBER = "MEMBER"
    SIGNER = "SIGNER"


class Origin(NamedTuple):
    """Where a call came from: personal data, so it goes nowhere but encrypted into the audit trail.

    Attributes:
        address: Network address of the peer.
        user_agent: The client's name for itself.
    """

    address: str = ""
    user_agent: str = ""


WORK: Final = frozenset({"document", "signature_request", "audit"})
"""Kinds of resources whose permissions a share can carry."""


GIVING: Final = frozenset({"document.move", "signature_request.move"})
"""Permissions to give work away. No delegation carries them: what was given away would outlast it."""


class Share(NamedTuple):
    """Why what another owns counts as a caller's own: a team that it is in, or a delegation to it.

    Attributes:
        owner_id: Whose resources: the team, or the member who delegates.
        delegation_id: The delegation; empty for a team.
        expire_time: When it ends by itself, in microseconds since the epoch; ``None`` for never.
        permissions: To which the delegation is narrowed; ``None`` for no narrowing.
        delegator: The scopes in which policy allows the delegator a permission; ``None`` for a team.
    """

    owner_id: str
    delegation_id: str = ""
    expire_time: int | None = None
    permissions: frozenset[str] | None = None
    delegator: Callable[[str], Scope] | None = None

    def holds(self, permission: str) -> bool:
        """Whether it carries a permission at this moment, for a caller that holds it in what is its own.

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
"""What nearly every caller has."""


FRESH: Final[Mapping[str, int]] = MappingProxyType({})
"""What a caller has to authenticate anew for: nothing."""
STEP_UP: Final = "STEP_UP_REQUIRED"
"""Why such a caller is refused."""


class Caller(NamedTuple):
    """Who calls.

    Attributes:
        tenant_id: The tenant it works in.
        principal_id: The member, API key or signature that it is.
        kind: Which of the three.
        session_id: The session, or the API key's own identifier.
        subject_id: Whose personal data the call's origin is.
        signature_request_id: The one signature request that a signer's session opens; empty for others.
        policy_version: Version of the tenant's policy that decides.
        decide: The scopes in which policy allows a permission.
        narrowed: Permissions to which the session is narrowed; empty for no narrowing.
        origin: Where the call came from.
        certificate: SHA-256 of the client's certificate, where it shows one; empty otherwise.
        shares: By the owner, why what others own counts as the caller's own.
        acting: The share by which it acts here; ``None`` where it acts by itself, or as one of a team.
        stale: Sensitive permissions for which its authentication is too old, each with the longest age in seconds.
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
        """In whose resources the caller may use a permission at this moment.

        Args:
            permission: As ``<resource>.<verb>``.

        Raises:
            Unauthenticated: It holds it, but authenticated too long ago to use it (``STEP_UP_REQUIRED``).
        """
        if self.narrowed and permission not in self.narrowed:
            return Scope.NONE
        scopes = self.decide(permission)
        if self.stale and scopes and permission in self.stale:
            raise step_up(permission, self.stale[permission])
        return scopes

    def holds(self, permission: str) -> Scope:
        """In whose resources the caller holds a permission, be its authentication fresh enough to use it or not.

        Args:
            permission: As ``<resource>.<verb>``.
        """
        if self.narrowed and permission not in self.narrowed:
            return Scope.NONE
        return self.decide(permission)

    def demand_fresh(self) -> None:
        """Refuses a caller whose authentication is too old for anything that its tenant calls sensitive.

        Raises:
            Unauthenticated: It is (``STEP_UP_REQUIRED``).
        """
        for permission, seconds in self.stale.items():
            raise step_up(permission, seconds)

    def demand(self, permission: str) -> Scope:
        """The same, refusing a caller that does not hold the permission at all.

        Args:
            permission: As ``<resource>.<verb>``.

        Raises:
            PermissionDenied: No role of the caller holds it.
        """
        scopes = self.scopes(permission)
        if not scopes:
            raise denied(permission)
        return scopes

    def reaches(self, permission: str, *, owner_id: str, party: bool = False) -> bool:
        """Whether the caller may do something to a resource of its tenant.

        Args:
            permission: As ``<resource>.<verb>``.
            owner_id: Whose the resource is.
            party: Whether the caller is a party to it.
        """
        scopes = int(self.scopes(permission))  # an enum's operators cost more than everything else here
        if scopes & _ANY or (scopes & _OWN and owner_id == self.principal_id) or (scopes & _PARTY and party):
            return True
        share = self.shares.get(owner_id) if scopes & _OWN else None
        return share is not None and share.holds(permission)

    def shared(self, permission: str) -> tuple[str, ...]:
        """The others in whose resources a permission holds that the caller holds in its own.

        Args:
            permission: As ``<resource>.<verb>``.
        """
        if not self.shares or not self.holds(permission) & Scope.OWN:
            return ()
        return tuple(owner_id for owner_id, share in self.shares.items() if share.holds(permission))

    def owners(self, permission: str) -> tuple[str, ...]:
        """Everybody whose resources count as the caller's own for a permission, the caller first.

        Args:
            permission: As ``<resource>.<verb>``.

        Returns:
            Nobody where the caller does not hold the permission in what is its own.
        """
        if not self.scopes(permission) & Scope.OWN:
            return ()
        return (self.principal_id, *self.shared(permission))

    def reach(self, *permissions: str, party: bool = False) -> str:
        """Whose resources a query may find: the value of ``db.owned_by``'s parameter.

        It stands in the query, so that what is out of reach is not found, and costs what an absent resource costs.

        Args:
            permissions: Each of which the caller must hold in it.
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
        """The caller, as it acts on somebody's resource: an event drafted of it names the delegation.

        Args:
            permission: By which it reaches the resource.
            owner_id: Whose the resource is.
        """
        share = self.shares.get(owner_id)
        if share is None or not share.delegation_id or self.scopes(permission) & Scope.ANY:
            return self
        return self._replace(acting=share)

    def require(self, permission: str, kind: str, *, owner_id: str, party: bool = False) -> None:
        """Refuses a resource out of reach as if it did not exist.

        Args:
            permission: As ``<resource>.<verb>``.
            kind: The resource's kind, such as ``document``.
            owner_id: Whose it is.
            party: Whether the caller is a party to it.

        Raises:
            NotFound: The caller does not reach it.
        """
        if not self.reaches(permission, owner_id=owner_id, party=party):
            raise NotFound(kind)

    def owner_filter(self, permission: str) -> str:
        """The owner whose resources a list is cut to; empty for no cut.

        Args:
            permission: As ``<resource>.<verb>``.

        Returns:
            The caller itself, or ``UNNAMED`` where it does not hold the permission in what is its own.
        """
        scopes = self.scopes(permission)
        if scopes & Scope.ANY:
            return ""
        return self.principal_id if scopes & Scope.OWN else UNNAMED


def step_up(permission: str, max_age: int) -> Unauthenticated:
    """The refusal of a caller who has to authenticate anew for a sensitive permission (RFC 9470).

    Args:
        permission: As ``<resource>.<verb>``.
        max_age: The longest age of an authentication for it, in seconds.
    """
    return Unauthenticated(
        f"The permission {permission} takes an authentication of the last {max_age} seconds.",
        reason="STEP_UP_REQUIRED",
        permission=permission,
        max_age=str(max_age),
    )


def denied(permission: str) -> PermissionDenied:
    """The refusal of a caller that does not hold a permission.

    Args:
        permission: As ``<resource>.<verb>``.
    """
    return PermissionDenied(f"The caller does not hold the permission {permission}.", permission=permission)


_current: Final[ContextVar[Caller]] = ContextVar("caller")


def current_caller() -> Caller:
    """The caller of the request that runs in this task.

    Raises:
        LookupError: No request runs in it; that is a defect.
    """
    return _current.get()


def set_caller(caller: Caller) -> None:
    """Says who calls, for the request that runs in this task; the edge does so, once a request.

    Args:
        caller: Who calls.
    """
    _current.set(caller)


Check = Callable[[], Awaitable[None]]
"""Raises once something does not hold any more."""

_watch: Final[ContextVar[Callable[[Check], None]]] = ContextVar("watch")


def keep_checking(check: Check) -> None:
    """Has something decided again and again for as long as this task's stream runs, which ends with what it raises.

    Args:
        check: What has to hold.

    Raises:
        LookupError: No stream runs in this task; that is a defect.
    """
    _watch.get()(check)


def set_watch(watch: Callable[[Check], None]) -> None:
    """Says what watches the stream that runs in this task; the edge does so, once a stream.

    Args:
        watch: Begins to decide a check again and again.
    """
    _watch.set(watch)
