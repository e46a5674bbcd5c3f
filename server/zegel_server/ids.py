"""Identifiers and tokens.

An identifier is a three-letter kind, ``_`` and 26 digits of Crockford's base 32: 48 bits of milliseconds and 80 random
bits (as ULID has it), so that identifiers sort by the time they were made. A token is 256 random bits: it is the secret
itself, so only its SHA-256 is stored.
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
"""What an API key's token begins with: secret scanners find it by this and its check digits."""
SESSION_PREFIX: Final = "zs_"
"""What a session's token begins with."""
LINK_PREFIX: Final = "zl_"
"""What a signer link's token begins with."""
TOKEN_BODY: Final = 43
"""Base 62 digits that hold 256 bits."""
TOKEN_CHECK: Final = 6
"""Base 62 digits of a CRC-32: they tell a token from text that looks like one, without a look-up."""
TOKEN_LENGTH: Final = 3 + TOKEN_BODY + TOKEN_CHECK


def new_id(kind: Kind) -> str:
    """A new identifier.

    Args:
        kind: Its kind, three letters.
    """
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    return f"{kind}_{''.join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))}"


def last_id(kind: Kind) -> str:
    """What sorts after every identifier of a kind: where a list that shows the newest first begins.

    Args:
        kind: The kind.
    """
    return f"{kind}_{'z' * 26}"


def is_id(text: str, kind: Kind) -> bool:
    """Whether a text has the form of an identifier of a kind.

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
    """The number that base 62 digits say; -1 for other characters. It is asked at each request."""
    number = 0
    for digit in digits:
        number = number * 62 + _VALUES.get(digit, -(62**TOKEN_CHECK))
    return number


def _check(body: str) -> str:
    return _base62(crc32(body.encode()), TOKEN_CHECK)


def new_token(prefix: str) -> str:
    """A new token: its prefix, 256 random bits, and check digits over both.

    Args:
        prefix: ``API_KEY_PREFIX``, ``SESSION_PREFIX`` or ``LINK_PREFIX``.
    """
    body = prefix + _base62(secrets.randbits(256), TOKEN_BODY)
    return body + _check(body)


def is_token(text: str, prefixes: tuple[str, ...] = (API_KEY_PREFIX, SESSION_PREFIX)) -> bool:
    """Whether a text has the form of a token, its check digits included.

    Args:
        text: What a caller sent.
        prefixes: The kinds of token that it may be.
    """
    return (
        len(text) == TOKEN_LENGTH
        and text.isascii()
        and text.startswith(prefixes)
        and _number(text[-TOKEN_CHECK:]) == crc32(text[:-TOKEN_CHECK].encode())
    )


def hash_token(token: str) -> bytes:
    """What is stored of a token: its SHA-256, 32 bytes.

    Args:
        token: The token, of 256 random bits: nothing slower is needed against guessing.
    """
    return hashlib.sha256(token.encode()).digest()
