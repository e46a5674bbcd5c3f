"""Tokens in every state in which nobody is let in with them."""

import time

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

import zegel
from support.flow import Office, sign
from zegel.signing.v1.signature_request_pb2 import SignatureRequest
from zegel.signing.v1.signing_service_pb2 import CreateSignerLinkResponse
from zegel_server.ids import new_token


def ahead(seconds: float) -> Timestamp:
    """A time to come.

    Args:
        seconds: How far ahead.
    """
    moment = Timestamp()
    moment.FromNanoseconds(time.time_ns() + int(seconds * 1e9))
    return moment


def bad_tokens(
    office: Office, gone: tuple[str, zegel.Client, str], member_id: str, good: str
) -> dict[str, tuple[str | None, str]]:
    """Tokens that nobody is let in with, and the reason that each is refused with.

    Args:
        office: The tenant.
        gone: A member with its client and token, to be removed.
        member_id: Another.
        good: A good token.
    """
    owner = office.owner.identity
    revoked = owner.create_session(member_id=member_id)
    owner.revoke_session(session_id=revoked.session.session_id)
    revoked_key = owner.create_api_key(name="k", roles=["owner"])
    owner.revoke_api_key(api_key_id=revoked_key.api_key.api_key_id)
    expired = owner.create_session(member_id=member_id, expire_time=ahead(1.0))
    expired_key = owner.create_api_key(name="k", roles=["owner"], expire_time=ahead(1.0))
    # With its key goes what the key opened.
    rotated_key = owner.create_api_key(name="k", roles=["owner"])
    owner.rotate_api_key(api_key_id=rotated_key.api_key.api_key_id, overlap=Duration())
    opener = owner.create_api_key(name="k", roles=["owner"])
    opened = office.root.with_token(opener.token).identity.create_session(member_id=member_id)
    owner.revoke_api_key(api_key_id=opener.api_key.api_key_id)
    owner.delete_member(member_id=gone[0])
    time.sleep(1.1)
    return {
        "absent": (None, "SESSION_MISSING"),
        "empty": ("", "SESSION_MISSING"),
        "malformed": ("zs_nothing", "SESSION_MALFORMED"),
        "cut": (good[:-1], "SESSION_MALFORMED"),
        "altered": (_altered(good), "SESSION_MALFORMED"),
        "as a key": ("zk_" + good[3:], "SESSION_MALFORMED"),
        "unknown session": (new_token("zs_"), "SESSION_UNKNOWN"),
        "unknown key": (new_token("zk_"), "SESSION_UNKNOWN"),
        "revoked session": (revoked.token, "SESSION_REVOKED"),
        "revoked key": (revoked_key.token, "SESSION_REVOKED"),
        "expired session": (expired.token, "SESSION_EXPIRED"),
        "expired key": (expired_key.token, "SESSION_EXPIRED"),
        "rotated away": (rotated_key.token, "SESSION_EXPIRED"),
        "opened with a revoked key": (opened.token, "SESSION_REVOKED"),
        "of a removed member": (gone[2], "SESSION_REVOKED"),
    }


def _altered(token: str) -> str:
    return token[:9] + ("a" if token[9] != "a" else "b") + token[10:]


def bad_links(office: Office) -> dict[str, tuple[str, str]]:
    """What is offered for exchange in vain, and the reason that each is refused with.

    Args:
        office: The tenant.
    """
    request, canceled, signed = office.send(), office.send(), office.send()

    def link(of: SignatureRequest, by: zegel.Client = office.sender, seconds: float = 3600) -> CreateSignerLinkResponse:
        return by.signing.create_signer_link(
            signature_request_id=of.signature_request_id,
            signature_id=of.signatures[0].signature_id,
            expire_time=ahead(seconds),
        )

    spent, revoked, expired, closed, done = (
        link(request),
        link(request),
        link(request, seconds=1.0),
        link(canceled),
        link(signed),
    )
    office.root.exchange(spent.token)
    office.sender.signing.revoke_signer_link(
        signature_request_id=request.signature_request_id, signer_link_id=revoked.signer_link_id
    )
    office.sender.signing.cancel_signature_request(signature_request_id=canceled.signature_request_id)
    sign(office.signer(signed, 0), 0)
    key = office.owner.identity.create_api_key(name="k", roles=["owner"])
    of_key = link(request, office.root.with_token(key.token))
    office.owner.identity.revoke_api_key(api_key_id=key.api_key.api_key_id)
    good = link(request).token
    time.sleep(1.1)
    return {
        "spent": (spent.token, "LINK_SPENT"),
        "revoked": (revoked.token, "LINK_REVOKED"),
        "expired": (expired.token, "LINK_EXPIRED"),
        "of a canceled request": (closed.token, "LINK_EXPIRED"),
        "of a signer who signed": (done.token, "LINK_EXPIRED"),
        "of a revoked key": (of_key.token, "LINK_REVOKED"),
        "unknown": (new_token("zl_"), "SESSION_UNKNOWN"),
        "cut": (good[:-1], "SESSION_MALFORMED"),
        "altered": (_altered(good), "SESSION_MALFORMED"),
        "as a session": ("zs_" + good[3:], "SESSION_MALFORMED"),
        "an ID token of no tenant": ("eyJhbGciOiJFUzI1NiJ9.e30.AAAA", "ID_TOKEN_REFUSED"),
        "an ID token without a signature": ("eyJhbGciOiJub25lIn0.e30.", "SESSION_MALFORMED"),
    }
