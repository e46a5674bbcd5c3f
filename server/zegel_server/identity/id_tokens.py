"""ID tokens (OpenID Connect Core 1.0, RFC 7519): parsing and validating them. No I/O.

Invariants:

* Until its signature is checked, only one thing in a token is used: which key to check it with.
* The algorithm is one of ``ALGORITHMS``, and the key is one of the provider's for that algorithm: no ``none``, no
  shared secret, whatever the token says.
* A refused token raises ``RefusedError`` with the reason, for the tenant's audit trail and never for the caller.
"""

import hashlib
import json
import re
import warnings
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from zegel_server import clock

MAX_TOKEN: Final = 6_144
"""Characters of an ID token: what fits into a call's metadata, and several times what providers issue."""
ALGORITHMS: Final[Mapping[str, str]] = {
    "RS256": "RSA",
    "PS256": "RSA",
    "ES256": "EC",
    "EdDSA": "OKP",
    "Ed25519": "OKP",
}
"""The accepted signature algorithms, with the type of their keys (RFC 7518, RFC 8037, RFC 9864)."""
LEEWAY_S: Final = 60
"""How far a provider's clock may be off."""
MAX_AGE_S: Final = 3_600
"""How old a token may be: it is meant to be exchanged at once."""
MIN_RSA_BITS: Final = 2_048
"""The least size of an RSA key (NIST SP 800-131A)."""
MAX_SUBJECT: Final = 255
"""Characters of a subject: OpenID Connect Core, section 2."""
MAX_EMAIL: Final = 254

_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_CURVES: Final = {"EC": "P-256", "OKP": "Ed25519"}

Key = RSAKey | ECKey | OKPKey
"""A provider's public key."""


class EmailTrust(StrEnum):
    """What is believed of the mail addresses in a provider's tokens."""

    VERIFIED = "VERIFIED"
    """Those that the token says are verified."""
    UNLESS_DENIED = "UNLESS_DENIED"
    """Those of which the token says nothing, too."""
    NEVER = "NEVER"
    """None."""


class RefusedError(Exception):
    """A token that is not accepted."""


class Head(NamedTuple):
    """What is read of a token before its signature is checked.

    Attributes:
        algorithm: One of ``ALGORITHMS``.
        key_id: Which of the provider's keys signed it; empty if it does not say.
    """

    algorithm: str
    key_id: str


class SignIn(NamedTuple):
    """The claims of a valid token.

    Attributes:
        subject: The account at the provider.
        email: Its mail address, if that is believed; empty otherwise.
        auth_time: When the person authenticated, in microseconds since the epoch.
        expire_time: When the token expires, including leeway.
        spent: Hash of what its signature covers: recognises the token even if its signature is encoded differently.
    """

    subject: str
    email: str
    auth_time: int
    expire_time: int
    spent: bytes


def has_form(token: str) -> bool:
    """Whether a text has the form of a signed token, and an acceptable size.

    Args:
        token: What a caller sent.
    """
    return len(token) <= MAX_TOKEN and _FORM.fullmatch(token) is not None


def read_head(token: str) -> Head:
    """Reads the header, which says which key signed the token.

    Args:
        token: A token for which ``has_form`` is true.

    Raises:
        RefusedError: Its header is malformed, or names an algorithm that is not accepted.
    """
    header = _json(token.partition(".")[0])
    algorithm, key_id, kind = header.get("alg"), header.get("kid", ""), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise RefusedError("algorithm")
    if not isinstance(key_id, str) or len(key_id) > MAX_SUBJECT:
        raise RefusedError("key_id")
    if not isinstance(kind, str) or kind.upper() != "JWT" or "crit" in header or "b64" in header:
        raise RefusedError("header")
    return Head(algorithm, key_id)


def import_keys(documents: Any) -> list[Key]:
    """The keys of a JWK set (RFC 7517) that can check signatures; other entries are left out.

    Args:
        documents: The set's ``keys``.
    """
    found: list[Key] = []
    kinds: Mapping[str, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    for each in documents if isinstance(documents, list) else ():
        kind = kinds.get(str(each.get("kty"))) if isinstance(each, dict) else None
        if kind is None or each.get("use", "sig") != "sig":
            continue
        public = {name: value for name, value in each.items() if name not in {"d", "p", "q", "dp", "dq", "qi", "oth"}}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)  # weak keys are left out below
                key = kind.import_key(public)
            small = isinstance(key, RSAKey) and key.public_key.key_size < MIN_RSA_BITS
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if not small:
            found.append(key)
    return found


def choose_key(head: Head, keys: Sequence[Key]) -> Key | None:
    """The key that a token was signed with, if it is among the provider's.

    Args:
        head: What the token says.
        keys: The provider's keys.
    """
    kind = ALGORITHMS[head.algorithm]
    fits = [
        key
        for key in keys
        if key.key_type == kind
        and (kind == "OKP" or key.get("alg", head.algorithm) == head.algorithm)
        and key.get("crv", _CURVES.get(kind)) == _CURVES.get(kind)
        and (not head.key_id or key.get("kid") == head.key_id)
    ]
    return fits[0] if len(fits) == 1 else None


def verify(
    token: str,
    head: Head,
    key: Key,
    *,
    issuer: str,
    audiences: Collection[str],
    now: int,
    email_trust: EmailTrust = EmailTrust.VERIFIED,
) -> SignIn:
    """Checks a token's signature and claims.

    Args:
        token: The token.
        head: The result of ``read_head``.
        key: The result of ``choose_key``.
        issuer: The only issuer that is accepted.
        audiences: The clients that it may have been issued to.
        now: The time.
        email_trust: What is believed of its mail address.

    Raises:
        RefusedError: It is not valid.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # # for the name EdDSA, which providers still use
            payload = jws.deserialize_compact(token, key, algorithms=[head.algorithm]).payload
    except (JoseError, ValueError, TypeError) as error:
        raise RefusedError("signature") from error
    claims = _object(payload)
    if claims.get("iss") != issuer:
        raise RefusedError("issuer")
    _check_audience(claims, audiences)
    seconds = now // clock.SECOND
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if expires is None or seconds >= expires + LEEWAY_S:
        raise RefusedError("expired")
    if issued is None or not seconds - MAX_AGE_S <= issued <= seconds + LEEWAY_S:
        raise RefusedError("issued")
    if (_time(claims, "nbf") or 0) > seconds + LEEWAY_S:
        raise RefusedError("not_yet")
    authenticated = _time(claims, "auth_time")
    if authenticated is None:
        authenticated = issued
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
        raise RefusedError("subject")
    covered = token.rpartition(".")[0].encode()
    until = min(expires, issued + MAX_AGE_S) + LEEWAY_S + 1
    return SignIn(
        subject,
        _believed_email(claims, email_trust),
        min(authenticated, seconds) * clock.SECOND,
        until * clock.SECOND,
        hashlib.sha256(covered).digest(),
    )


def _believed_email(claims: Mapping[str, Any], trust: EmailTrust) -> str:
    """The mail address (OpenID Connect Core, section 5.1). Some providers say "true" as a text, some say nothing."""
    email, verified = claims.get("email"), claims.get("email_verified")
    if not isinstance(email, str) or len(email) > MAX_EMAIL:
        return ""
    said = verified is True or (isinstance(verified, str) and verified.lower() == "true")
    silent = "email_verified" not in claims
    believed = {
        EmailTrust.VERIFIED: said,
        EmailTrust.UNLESS_DENIED: said or silent,
        EmailTrust.NEVER: False,
    }
    return email if believed[trust] else ""


def _check_audience(claims: Mapping[str, Any], audiences: Collection[str]) -> None:
    """OpenID Connect Core, section 3.1.3.7, steps 3 to 5."""
    stated = claims.get("aud")
    named = stated if isinstance(stated, list) else [stated]
    if not any(isinstance(each, str) and each in audiences for each in named):
        raise RefusedError("audience")
    party = claims.get("azp")
    if (len(named) > 1 and party is None) or (party is not None and party not in audiences):
        raise RefusedError("party")


def _time(claims: Mapping[str, Any], name: str) -> int | None:
    """A NumericDate (RFC 7519, section 2), truncated to seconds."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LAST_SECOND:
        raise RefusedError(name)
    return int(value)


LAST_SECOND: Final = 253_402_300_799
"""The last second of the year 9999."""


def _json(part: str) -> dict[str, Any]:
    try:
        return _object(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError as error:
        raise RefusedError("header") from error


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RefusedError("json") from error
    if not isinstance(found, dict):
        raise RefusedError("json")
    return found
