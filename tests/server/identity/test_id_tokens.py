"""Which ID tokens are good: made with another implementation's keys, and forged in every way that has a name."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from support.providers import CLIENT_ID, ForgingProvider, encoded, new_key
from zegel_server import clock
from zegel_server.identity import id_tokens
from zegel_server.identity.id_tokens import EmailTrust, RefusedError, SignIn

KEYS: Final[dict[str, Any]] = {
    "RS256": RSAKey.generate_key(2048, {"kid": "rsa"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ec"}),
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "okp"}),
}
ISSUER = "https://id.example.com"


def provider() -> ForgingProvider:
    return ForgingProvider(ISSUER, list(KEYS.values()))


def check(
    token: str,
    of: ForgingProvider,
    audiences: tuple[str, ...] = (CLIENT_ID,),
    email_trust: EmailTrust = EmailTrust.VERIFIED,
) -> SignIn:
    """As the server does it, with the keys as they are published."""
    published = id_tokens.import_keys([key.as_dict(private=False) for key in of.keys])
    if not id_tokens.has_form(token):
        raise RefusedError("form")
    head = id_tokens.read_head(token)
    key = id_tokens.choose_key(head, published)
    if key is None:
        raise RefusedError("key")
    return id_tokens.verify(
        token, head, key, issuer=of.issuer, audiences=audiences, now=clock.now(), email_trust=email_trust
    )


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
def test_a_good_token_says_who_signed_in(algorithm: str) -> None:
    key = KEYS[{"PS256": "RS256", "Ed25519": "EdDSA"}.get(algorithm, algorithm)]
    ours = provider()
    found = check(ours.token(key, {"alg": algorithm}, auth_time=1_700_000_000), ours)
    assert (found.subject, found.email, found.auth_time) == ("account-1", "ann@example.com", 1_700_000_000_000_000)


def test_without_an_authentication_time_it_is_when_the_token_was_issued() -> None:
    ours, issued = provider(), int(time.time()) - 200
    assert check(ours.token(iat=issued), ours).auth_time == issued * clock.SECOND


SAID = {
    "true": (True, {EmailTrust.VERIFIED, EmailTrust.UNLESS_DENIED}),
    "true in words": ("true", {EmailTrust.VERIFIED, EmailTrust.UNLESS_DENIED}),
    "True in words": ("True", {EmailTrust.VERIFIED, EmailTrust.UNLESS_DENIED}),
    "nothing": (None, {EmailTrust.UNLESS_DENIED}),
    "false": (False, set()),
    "false in words": ("false", set()),
    "other words": ("yes", set()),
    "an empty text": ("", set()),
    "a number": (1, set()),
    "a list": ([True], set()),
    "an object": ({"value": True}, set()),
}


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("trust", EmailTrust)
def test_whether_an_address_is_believed_is_said_by_the_token_and_by_the_tenant(said: str, trust: EmailTrust) -> None:
    ours = provider()
    claim, believed = SAID[said]
    found = check(ours.token(email_verified=claim), ours, email_trust=trust)
    assert (found.subject, found.email) == ("account-1", "ann@example.com" if trust in believed else "")


@pytest.mark.parametrize("trust", EmailTrust)
@pytest.mark.parametrize("email", [None, "", 7, ["ann@example.com"], "a" * 243 + "@example.com"])
def test_what_is_no_address_is_never_believed(email: object, trust: EmailTrust) -> None:
    ours = provider()
    assert check(ours.token(email=email), ours, email_trust=trust).email == ""


def test_that_nothing_is_said_by_null_is_not_silence() -> None:
    ours = provider()
    token = _signed(json.dumps({**ours.claims(), "email_verified": None}).encode())
    assert check(token, ours, email_trust=EmailTrust.UNLESS_DENIED).email == ""


def _unsigned(ours: ForgingProvider, algorithm: str = "none", signature: str = "") -> str:
    return f"{encoded({'alg': algorithm, 'kid': 'rsa'})}.{encoded(ours.claims())}.{signature}"


def _by_public_key(ours: ForgingProvider) -> str:
    """HS256 with the public key as its secret."""
    pem = KEYS["RS256"].as_pem(private=False)
    text = _unsigned(ours, "HS256").rstrip(".")
    return f"{text}.{encoded(hmac.digest(pem, text.encode(), hashlib.sha256))}"


FORGED: dict[str, tuple[Callable[[ForgingProvider], str], str]] = {
    "unsigned": (_unsigned, "form"),
    "unsigned, with something": (lambda ours: _unsigned(ours, signature="AA"), "algorithm"),
    "none in other letters": (lambda ours: _unsigned(ours, "nOnE", "AA"), "algorithm"),
    "by the public key": (_by_public_key, "algorithm"),
    "by a shared secret": (
        lambda ours: f"{encoded({'alg': 'HS256'})}.{encoded(ours.claims())}.{encoded(bytes(32))}",
        "algorithm",
    ),
    "RS384": (lambda ours: ours.token(KEYS["RS256"], {"alg": "RS384"}), "algorithm"),
    "by another key under the same name": (lambda ours: ours.token(new_key("ec")), "signature"),
    "by a key that it brings": (
        lambda ours: ours.token(new_key("x"), {"jwk": new_key("x").as_dict(private=False), "kid": "ec"}),
        "signature",
    ),
    "an unknown key": (lambda ours: ours.token(KEYS["ES256"], {"kid": "gone"}), "key"),
    "another key's name": (lambda ours: ours.token(KEYS["ES256"], {"kid": "rsa"}), "key"),
    "critical": (
        lambda ours: f"{encoded({'alg': 'ES256', 'crit': ['exp']})}.{encoded(ours.claims())}.{encoded(bytes(64))}",
        "header",
    ),
    "an access token": (lambda ours: ours.token(KEYS["ES256"], {"typ": "at+jwt"}), "header"),
    "another issuer": (lambda ours: ours.token(iss=ISSUER + "/"), "issuer"),
    "no issuer": (lambda ours: ours.token(iss=None), "issuer"),
    "another audience": (lambda ours: ours.token(aud="somebody else"), "audience"),
    "no audience": (lambda ours: ours.token(aud=None), "audience"),
    "another's among several": (lambda ours: ours.token(aud=[CLIENT_ID, "other"]), "party"),
    "made for another party": (lambda ours: ours.token(aud=[CLIENT_ID, "other"], azp="other"), "party"),
    "expired": (lambda ours: ours.token(exp=int(time.time()) - 61), "expired"),
    "without an end": (lambda ours: ours.token(exp=None), "expired"),
    "an end that is no number": (lambda ours: ours.token(exp="9999999999"), "exp"),
    "an end that is endless": (lambda ours: ours.token(exp=1e300), "exp"),
    "an end that is true": (lambda ours: ours.token(exp=True), "exp"),
    "old": (lambda ours: ours.token(iat=int(time.time()) - 3_700), "issued"),
    "issued later": (lambda ours: ours.token(iat=int(time.time()) + 120), "issued"),
    "not yet good": (lambda ours: ours.token(nbf=int(time.time()) + 120), "not_yet"),
    "without a subject": (lambda ours: ours.token(sub=""), "subject"),
    "a subject that is none": (lambda ours: ours.token(sub=["account-1"]), "subject"),
    "cut": (lambda ours: ours.token()[:-4], "signature"),
    "huge": (lambda ours: ours.token(more="x" * 8_000), "form"),
    "claims that are a list": (lambda _: _signed(b"[]"), "json"),
    "claims in a nest": (lambda _: _signed(b"[" * 4_000), "json"),
}


def _signed(payload: bytes) -> str:
    from joserfc import jws  # noqa: PLC0415 - for this alone

    return jws.serialize_compact({"alg": "ES256", "kid": "ec"}, payload, KEYS["ES256"], algorithms=["ES256"])


@pytest.mark.parametrize("way", FORGED)
def test_a_forged_token_is_refused(way: str) -> None:
    ours = provider()
    make, why = FORGED[way]
    with pytest.raises(RefusedError) as raised:
        check(make(ours), ours)
    assert str(raised.value) == why


def test_a_token_is_known_again_however_its_signature_is_written() -> None:
    ours = provider()
    token = ours.token(KEYS["ES256"])
    text, _, signature = token.rpartition(".")
    raw = urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    again = f"{text}.{encoded(other)}"
    assert again != token
    assert check(again, ours).spent == check(token, ours).spent


@pytest.mark.filterwarnings("ignore:Key size")
def test_a_weak_key_or_one_for_something_else_is_left_out() -> None:
    weak = RSAKey.generate_key(1024, {"kid": "weak"}, auto_kid=False).as_dict(private=False)
    documents: list[Any] = [
        weak,
        {**KEYS["ES256"].as_dict(private=False), "use": "enc"},
        OctKey.generate_key(256).as_dict(private=True),
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "unknown"},
        "no key",
        KEYS["EdDSA"].as_dict(private=False),
    ]
    assert [key.kid for key in id_tokens.import_keys(documents)] == ["okp"]
    assert id_tokens.import_keys({"keys": 1}) == []


def test_without_a_key_s_name_there_must_be_one_key_alone() -> None:
    ours = provider()
    check(ours.token(KEYS["ES256"], {"kid": None}), ours)
    ours.keys.append(new_key("second"))
    with pytest.raises(RefusedError):
        check(ours.token(KEYS["ES256"], {"kid": None}), ours)


@given(st.text(alphabet="abAB01-_.=e\u00e9\x00 ", max_size=60))
def test_no_text_breaks_the_reading(text: str) -> None:
    ours = provider()
    with pytest.raises(RefusedError):
        check(text, ours)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["iss", "aud", "azp", "sub", "exp", "iat", "nbf", "email"]), JSON))
def test_no_claim_of_whatever_kind_breaks_the_check(changes: dict[str, Any]) -> None:
    ours = provider()
    good = ours.claims()
    token = _signed(json.dumps({**good, **changes}).encode())
    try:
        found = check(token, ours)
    except RefusedError:
        return
    sent = {**good, **changes}["email"]
    assert found.email == (sent if isinstance(sent, str) and len(sent) <= id_tokens.MAX_EMAIL else "")


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk"]), JSON))
def test_no_header_of_whatever_kind_breaks_the_reading(header: dict[str, Any]) -> None:
    ours = provider()
    with pytest.raises(RefusedError):
        check(f"{encoded(header)}.{encoded(ours.claims())}.AAAA", ours)
