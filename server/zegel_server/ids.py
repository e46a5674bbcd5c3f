"""Identifiers and tokens.

An identifier is a three-letter kind, ``_`` and 26 digits of Crockford's base 32: 48 bits of milliseconds and 80 random
bits (as in a ULID), so that identifiers sort by the time they were made. A token is 256 random bits: it is a secret, so
only its SHA-256 is stored.
"""

import hashlib
import re
import secrets
import time
from typing import Final, Literal
from zlib import crc32

Kind = Literal["ten", "mem", "key", "ses", "sub", "doc", "upl", "req", "sig", "aud", "evt", "tea", "dlg", "lnk"]

_DIGITS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_FORM: Final = re.compile(r"[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}")
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_VALUES: Final = {digit: value for value, digit in enumerate(_BASE62)}

API_KEY_PREFIX: Final = "zk_"
"""Prefix of an API key's token: secret scanners recognise it by this and its check digits."""
SESSION_PREFIX: Final = "zs_"
"""Prefix of a session's token."""
LINK_PREFIX: Final = "zl_"
"""Prefix of a signer link's token."""
TOKEN_BODY: Final = 43
"""How many base 62 digits hold 256 bits."""
TOKEN_CHECK: Final = 6
"""How many base 62 digits hold a CRC-32, which tells a token from other text without a look-up."""
TOKEN_LENGTH: Final = 3 + TOKEN_BODY + TOKEN_CHECK


def new_id(kind: Kind) -> str:
    """A new identifier.

    Args:
        kind: Its kind, three letters.
    """
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    return f"{kind}_{''.join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))}"


def last_id(kind: Kind) -> str:
    """A text that sorts after every identifier of a kind: the start of a list that shows the newest first.

    Args:
        kind: The kind.
    """
    return f"{kind}_{'z' * 26}"


def is_id(text: str, kind: Kind) -> bool:
    """Whether a text is formed like an identifier of a kind.

    Args:
        text: What a caller sent.
        kind: The kind it should have.
    """
    return text.startswith(kind) and _FORM.fullmatch(text) is not None


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def _number(digits: str) -> int:
    """The value of base 62 digits; -1 if there are other characters. Fast, since it is called for each request."""
    number = 0
    for digit in digits:
        number = number * 62 + _VALUES.get(digit, -(62**TOKEN_CHECK))
    return number


def _check(body: str) -> str:
    return _base62(crc32(body.encode()), TOKEN_CHECK)


def new_token(prefix: str) -> str:
    """Makes a new token: a prefix, 256 random bits, and check digits over both.

    Args:
        prefix: ``API_KEY_PREFIX``, ``SESSION_PREFIX`` or ``LINK_PREFIX``.
    """
    body = prefix + _base62(secrets.randbits(256), TOKEN_BODY)
    return body + _check(body)


def is_token(text: str, prefixes: tuple[str, ...] = (API_KEY_PREFIX, SESSION_PREFIX)) -> bool:
    """Whether a text is formed like a token, including its check digits.

    Args:
        text: What a caller sent.
        prefixes: The prefixes that it may have.
    """
    return (
        len(text) == TOKEN_LENGTH
        and text.isascii()
        and text.startswith(prefixes)
        and _number(text[-TOKEN_CHECK:]) == crc32(text[:-TOKEN_CHECK].encode())
    )


def hash_token(token: str) -> bytes:
    """The SHA-256 of a token, 32 bytes, which is stored instead of it.

    Args:
        token: The token. It has 256 random bits, so no slower hash is needed against guessing.
    """
    return hashlib.sha256(token.encode()).digest()
