"""The rules of sessions: when a token is good. No I/O.

Invariants:

* A session or API key is good only if it is not revoked, not past its expiry, and, where it has an idle expiry, was
  used recently enough. Of several reasons the most final one is told.
* A session bound to a client certificate is good only with that certificate (RFC 8705, ``x5t#S256``).
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
"""A member's session: a working day where its maker says nothing, as the contract says."""
MEMBER_SIGN_IN: Final = Lifetime(12 * clock.HOUR, 24 * clock.HOUR)
"""A member's session for an ID token, as the contract says."""
SIGNER_SESSION: Final = Lifetime(clock.HOUR, 24 * clock.HOUR)
"""A signer's session, as the contract says."""
SIGNER_LINK: Final = Lifetime(7 * clock.DAY, 30 * clock.DAY)
"""A signer link, as the contract says."""
MEMBER_IDLE: Final = 2 * clock.HOUR
"""A member's session that is not used for so long ends."""
SIGNER_IDLE: Final = 30 * clock.MINUTE
"""A signer's session that is not used for so long ends: it may stand open in somebody's browser."""
USE_NOTED_EVERY: Final = clock.MINUTE
"""How exactly the last use is kept: a write a minute, not one a request."""

OVERLAP: Final = clock.DAY
"""How long the token before stays good after a rotation where the caller says nothing."""
OVERLAP_MOST: Final = 7 * clock.DAY
"""The longest it may, as the contract says: two tokens for one key are twice the chance of losing one."""

AGE_LEAST: Final = clock.MINUTE
"""The shortest age of an authentication that a tenant can ask for: below it nobody could do what is sensitive."""
AGE_MOST: Final = 30 * clock.DAY
"""The longest: that of a session."""

TOKEN_SHOWN: Final = 8
"""Characters of an API key's token that lists show: enough to know it again, too few to guess it."""


class Session(NamedTuple):
    """A principal's leave to call; times in microseconds since the epoch.

    Attributes:
        session_id: Identifier, or the API key's own.
        tenant_id: The tenant it works in.
        kind: What it stands for.
        principal_id: Whom it stands for.
        subject_id: Whose personal data its calls' origin is.
        signature_request_id: The request that a signer's session opens; empty for others.
        creator_id: Who opened it.
        permissions: What it is narrowed to; empty for no narrowing.
        certificate: SHA-256 of the client certificate it is bound to, or ``None``.
        create_time: When it was opened.
        expire_time: When it ends at the latest; ``None`` for never.
        idle_us: After how long without use it ends; 0 for never.
        last_use_time: When it was last used, to within ``USE_NOTED_EVERY``.
        revoke_time: When it was revoked, or ``None``.
        policy_version: Version of its tenant's policy, read in the same look-up.
        retired: Whether its token is one that rotation has taken from its API key.
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
        """When it ends unless it is used before."""
        return self.last_use_time + self.idle_us if self.idle_us else None

    def check(self, now: int, certificate: bytes | None) -> None:
        """Refuses a session that is not good at this moment.

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
        # What was noted may be that much older than the last use itself.
        if self.idle_us and now >= self.last_use_time + self.idle_us + USE_NOTED_EVERY:
            raise Unauthenticated("The session was idle for too long.", reason="SESSION_EXPIRED")
        if self.certificate is not None and not (
            certificate is not None and hmac.compare_digest(fingerprint(certificate), self.certificate)
        ):
            raise Unauthenticated("The session is bound to another certificate.", reason="SESSION_BOUND_ELSEWHERE")

    def wants_note(self, now: int) -> bool:
        """Whether this use is worth noting.

        Args:
            now: The time.
        """
        return now - self.last_use_time >= USE_NOTED_EVERY


class LinkState(StrEnum):
    """Where a signer link stands."""

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

    def state(self, now: int, *, awaited: bool) -> LinkState:
        """Where it stands.

        Args:
            now: The time.
            awaited: Whether its signature is still awaited.
        """
        found = link_state(now, revoke_time=self.revoke_time, spend_time=self.spend_time, expire_time=self.expire_time)
        return LinkState.EXPIRED if found is LinkState.ISSUED and not awaited else found


def link_state(now: int, *, revoke_time: int | None, spend_time: int | None, expire_time: int) -> LinkState:
    """Where a signer link stands by itself; of several ends the most final one counts.

    Args:
        now: The time.
        revoke_time: When it was revoked.
        spend_time: When it was redeemed.
        expire_time: When it ends.
    """
    if revoke_time is not None:
        return LinkState.REVOKED
    if spend_time is not None:
        return LinkState.REDEEMED
    return LinkState.ISSUED if now < expire_time else LinkState.EXPIRED


@lru_cache(maxsize=1_024)
def read_sensitive(text: str) -> Mapping[str, int]:
    """What a tenant calls sensitive: the longest age of an authentication in seconds, by permission.

    Args:
        text: As its row has it.
    """
    pairs = (each.partition("=") for each in text.split())
    return MappingProxyType({permission: int(seconds) for permission, _, seconds in pairs})


def write_sensitive(ages: Mapping[str, int]) -> str:
    """The same as a row has it.

    Args:
        ages: Seconds by permission.
    """
    return " ".join(f"{permission}={seconds}" for permission, seconds in sorted(ages.items()))


def stale(text: str, auth_time: int, now: int) -> Mapping[str, int]:
    """The sensitive permissions for which an authentication is too old, each with its longest age in seconds.

    Args:
        text: What the tenant calls sensitive, as its row has it.
        auth_time: When the principal authenticated.
        now: The time.
    """
    age = now - auth_time
    return {permission: seconds for permission, seconds in read_sensitive(text).items() if age > seconds * clock.SECOND}


def narrowing(wanted: frozenset[str], own: Collection[str]) -> frozenset[str]:
    """What a session or key is narrowed to: never wider than whoever makes it.

    Args:
        wanted: What is asked for; empty for nothing in particular.
        own: What its maker is narrowed to; empty for no narrowing.

    Raises:
        PermissionDenied: More is asked for than the maker has (``GRANT_EXCEEDS_GRANTER``).
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
    """What a session that is bound to a certificate keeps of it (RFC 8705, ``x5t#S256``).

    Args:
        certificate: In DER.

    Returns:
        Its SHA-256.
    """
    return hashlib.sha256(certificate).digest()
