"""The rules of sessions: when a token is valid. No I/O.

Invariants:

* A session or API key is valid only if it is not revoked, not past its expiry, and, if it has an idle expiry, was used
  recently enough. If there are several reasons to refuse it, the most final one is given.
* A session bound to a client certificate is valid only with that certificate (RFC 8705, ``x5t#S256``).
"""

import hashlib
import hmac
from collections.abc import Collection, Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from zegel_server import clock
from zegel_server.caller import PrincipalKind
from zegel_server.edge.validation import Lifetime
from zegel_server.errors import PermissionDenied, Unauthenticated

MEMBER_SESSION: Final = Lifetime(12 * clock.HOUR, 30 * clock.DAY)
"""Default lifetime of a member's session: a working day, as the contract says."""
MEMBER_SIGN_IN: Final = Lifetime(12 * clock.HOUR, 24 * clock.HOUR)
"""Lifetime of a member's session that was opened with an ID token, as the contract says."""
SIGNER_SESSION: Final = Lifetime(clock.HOUR, 24 * clock.HOUR)
"""Lifetime of a signer's session, as the contract says."""
SIGNER_LINK: Final = Lifetime(7 * clock.DAY, 30 * clock.DAY)
"""Lifetime of a signer link, as the contract says."""
MEMBER_IDLE: Final = 2 * clock.HOUR
"""A member's session expires if it is unused for this long."""
SIGNER_IDLE: Final = 30 * clock.MINUTE
"""A signer's session expires if it is unused for this long: it may be left open in a browser."""
USE_NOTED_EVERY: Final = clock.MINUTE
"""The precision of the last use: one write per minute, not one per request."""

OVERLAP: Final = clock.DAY
"""How long the previous token stays valid after a rotation, by default."""
OVERLAP_MOST: Final = 7 * clock.DAY
"""The longest overlap, as the contract says: two valid tokens double the risk of a leak."""

AGE_LEAST: Final = clock.MINUTE
"""The least age limit for an authentication that a tenant can set: below that nobody could use the permission."""
AGE_MOST: Final = 30 * clock.DAY
"""The greatest such limit: the lifetime of a session."""

TOKEN_SHOWN: Final = 8
"""Characters of an API key's token that lists show: enough to recognise it, too few to guess it."""


class Session(NamedTuple):
    """A principal's authorisation to make calls; times in microseconds since the epoch.

    Attributes:
        session_id: Identifier, or the API key's own.
        tenant_id: The tenant it is valid in.
        kind: What kind of principal it stands for.
        principal_id: The principal it stands for.
        subject_id: The subject whose personal data the origin of its calls is.
        signature_request_id: The request that a signer's session opens; empty for others.
        creator_id: Who opened it.
        permissions: What it is narrowed to; empty for no narrowing.
        certificate: SHA-256 of the client certificate it is bound to, or ``None``.
        create_time: When it was opened.
        expire_time: When it expires at the latest; ``None`` for never.
        idle_us: How long it may be unused before it expires, in microseconds; 0 for never.
        last_use_time: When it was last used, to within ``USE_NOTED_EVERY``.
        revoke_time: When it was revoked, or ``None``.
        policy_version: Version of its tenant's policy, read by the same query.
        retired: Whether its token has been replaced by a rotation of its API key.
        auth_time: When its principal authenticated; 0 for an API key.
    """

    session_id: str
    tenant_id: str
    kind: PrincipalKind
    principal_id: str
    subject_id: str
    signature_request_id: str
    creator_id: str
    permissions: frozenset[str]
    certificate: bytes | None
    create_time: int
    expire_time: int | None
    idle_us: int
    last_use_time: int
    revoke_time: int | None
    policy_version: int
    retired: bool = False
    auth_time: int = 0

    @property
    def idle_expire_time(self) -> int | None:
        """When it expires unless it is used before."""
        return self.last_use_time + self.idle_us if self.idle_us else None

    def check(self, now: int, certificate: bytes | None) -> None:
        """Refuses a session that is not valid at this moment.

        Args:
            now: The time.
            certificate: The client's certificate in DER, or ``None``.

        Raises:
            Unauthenticated: It is revoked, expired, idle for too long, or bound to another certificate.
        """
        if self.revoke_time is not None:
            raise Unauthenticated("The session was revoked.", reason="SESSION_REVOKED")
        if self.expire_time is not None and now >= self.expire_time:
            raise Unauthenticated("The session has expired.", reason="SESSION_EXPIRED")
        # The recorded time may be that much earlier than the last use.
        if self.idle_us and now >= self.last_use_time + self.idle_us + USE_NOTED_EVERY:
            raise Unauthenticated("The session was idle for too long.", reason="SESSION_EXPIRED")
        if self.certificate is not None and not (
            certificate is not None and hmac.compare_digest(fingerprint(certificate), self.certificate)
        ):
            raise Unauthenticated("The session is bound to another certificate.", reason="SESSION_BOUND_ELSEWHERE")

    def wants_note(self, now: int) -> bool:
        """Whether this use should be recorded.

        Args:
            now: The time.
        """
        return now - self.last_use_time >= USE_NOTED_EVERY


class LinkState(StrEnum):
    """The state of a signer link."""

    ISSUED = "ISSUED"
    REDEEMED = "REDEEMED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


class ListedLink(NamedTuple):
    """A signer link without its token; times in microseconds since the epoch."""

    signer_link_id: str
    signature_id: str
    creator_id: str
    create_time: int
    expire_time: int
    revoke_time: int | None
    spend_time: int | None
    granter_id: str
    request_owner_id: str
    fallen: bool = False
    """Whether its granter could hand it out no longer."""

    def state(self, now: int, *, awaited: bool) -> LinkState:
        """Its state.

        Args:
            now: The time.
            awaited: Whether its signature is still awaited.
        """
        found = link_state(now, revoke_time=self.revoke_time, spend_time=self.spend_time, expire_time=self.expire_time)
        if found is LinkState.ISSUED and self.fallen:
            return LinkState.REVOKED
        return LinkState.EXPIRED if found is LinkState.ISSUED and not awaited else found


def link_state(now: int, *, revoke_time: int | None, spend_time: int | None, expire_time: int) -> LinkState:
    """The state of a signer link regardless of its signature; if several apply, the most final one counts.

    Args:
        now: The time.
        revoke_time: When it was revoked.
        spend_time: When it was redeemed.
        expire_time: When it expires.
    """
    if revoke_time is not None:
        return LinkState.REVOKED
    if spend_time is not None:
        return LinkState.REDEEMED
    return LinkState.ISSUED if now < expire_time else LinkState.EXPIRED


@lru_cache(maxsize=1_024)
def read_sensitive(text: str) -> Mapping[str, int]:
    """A tenant's sensitive permissions, each with the greatest age of an authentication in seconds.

    Args:
        text: The text in the tenant's row.
    """
    pairs = (each.partition("=") for each in text.split())
    return MappingProxyType({permission: int(seconds) for permission, _, seconds in pairs})


def write_sensitive(ages: Mapping[str, int]) -> str:
    """The text for a tenant's row; the inverse of ``read_sensitive``.

    Args:
        ages: Seconds by permission.
    """
    return " ".join(f"{permission}={seconds}" for permission, seconds in sorted(ages.items()))


def stale(text: str, auth_time: int, now: int) -> Mapping[str, int]:
    """The sensitive permissions for which an authentication is too old, each with its age limit in seconds.

    Args:
        text: The tenant's sensitive permissions, as its row has them.
        auth_time: When the principal authenticated.
        now: The time.
    """
    age = now - auth_time
    return {permission: seconds for permission, seconds in read_sensitive(text).items() if age > seconds * clock.SECOND}


def narrowing(wanted: frozenset[str], own: Collection[str]) -> frozenset[str]:
    """The permissions that a session or key is narrowed to: never more than its creator's.

    Args:
        wanted: The permissions asked for; empty for no particular ones.
        own: The permissions that its creator is narrowed to; empty for no narrowing.

    Raises:
        PermissionDenied: More is asked for than the creator has (``GRANT_EXCEEDS_GRANTER``).
    """
    if own:
        for permission in sorted(wanted - frozenset(own)):
            raise PermissionDenied(
                f"The caller would hand out {permission}, which it does not hold so far.",
                reason="GRANT_EXCEEDS_GRANTER",
                permission=permission,
            )
    return wanted or frozenset(own)


def fingerprint(certificate: bytes) -> bytes:
    """What a session stores of the certificate that it is bound to (RFC 8705, ``x5t#S256``).

    Args:
        certificate: In DER.

    Returns:
        Its SHA-256.
    """
    return hashlib.sha256(certificate).digest()
