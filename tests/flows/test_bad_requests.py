"""Bad signature requests, acts at the wrong moment, and bad tokens, over a real channel: each gets its reason."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

import zegel
from support.flow import Office, place, ready, refused, sign, typed, until, usual_fields, usual_signers
from support.server import rows
from zegel_server.ids import API_KEY_PREFIX, SESSION_PREFIX, new_id, new_token


def at(seconds: float) -> Timestamp:
    moment = Timestamp()
    moment.FromDatetime(datetime.now(UTC) + timedelta(seconds=seconds))
    return moment


def with_field(**changes: Any) -> dict[str, Any]:
    """A request with one more field than the usual ones."""
    return {"fields": [*usual_fields(), place("extra", "TEXT", **changes)]}


INVALID, EXTRA = "INVALID_FIELD", "fields[4]"
REQUESTS: dict[str, tuple[Callable[[], dict[str, Any]], str, str]] = {
    "a page that does not exist": (lambda: with_field(page=2), INVALID, f"{EXTRA}.page"),
    "page 0": (lambda: with_field(page=0), INVALID, f"{EXTRA}.page"),
    "past the right edge": (lambda: with_field(x=560.0), INVALID, f"{EXTRA}.width"),
    "past the lower edge": (lambda: with_field(y=810.0), INVALID, f"{EXTRA}.height"),
    "left of the page": (lambda: with_field(x=-1.0), INVALID, f"{EXTRA}.x"),
    "above the page": (lambda: with_field(y=-0.5), INVALID, f"{EXTRA}.y"),
    "no width": (lambda: with_field(width=0.0), INVALID, f"{EXTRA}.width"),
    "not a number": (lambda: with_field(x=float("nan")), INVALID, f"{EXTRA}.x"),
    "infinitely high": (lambda: with_field(height=float("inf")), INVALID, f"{EXTRA}.height"),
    "an unknown signer": (lambda: with_field(signer_index=2), INVALID, f"{EXTRA}.signer_index"),
    "a negative signer": (lambda: with_field(signer_index=-1), INVALID, f"{EXTRA}.signer_index"),
    "an unknown document": (lambda: with_field(document_index=1), INVALID, f"{EXTRA}.document_index"),
    "a name twice": (lambda: {"fields": [*usual_fields(), place("date-0", "TEXT")]}, INVALID, f"{EXTRA}.api_id"),
    "no kind": (lambda: {"fields": [*usual_fields(), place("extra", "UNSPECIFIED")]}, "MISSING_FIELD", f"{EXTRA}.type"),
    "a signer without a signature": (lambda: {"fields": usual_fields(1)}, "MISSING_SIGNATURE_FIELD", "signers[1]"),
    "no signers": (lambda: {"signers": [], "fields": []}, "MISSING_FIELD", "signers"),
    "no mail address": (
        lambda: {"signers": [zegel.Signer(name="A", email="a@example.com"), zegel.Signer(name="B", order=1)]},
        "MISSING_FIELD",
        "signers[1].email",
    ),
    "one person twice": (
        lambda: {
            "signers": [zegel.Signer(name="A", email="a@example.com"), zegel.Signer(name="B", email="A@example.com")]
        },
        INVALID,
        "signers[1].email",
    ),
    "no documents": (lambda: {"documents": [], "fields": usual_fields()}, "MISSING_FIELD", "documents"),
    "no title": (lambda: {"title": ""}, "MISSING_FIELD", "title"),
    "an expiry that is past": (lambda: {"expire_time": at(-1)}, INVALID, "expire_time"),
    "too many signers": (lambda: {"signers": usual_signers(51)}, INVALID, "signers"),
}


def count(office: Office, table: str) -> int:
    query = f"SELECT count(*) FROM {table} WHERE tenant_id = '{office.tenant_id}'"  # noqa: S608 - our own words
    found: int = rows(office.server.rows_url, query)[0][0]
    return found


def test_each_bad_request_names_its_field_and_leaves_nothing(office: Office) -> None:
    document = office.upload()
    for kind, (make, reason, field) in REQUESTS.items():
        asked = {"documents": [zegel.RequestedDocument(document_id=document.document_id)], **make()}
        try:
            with refused("INVALID_ARGUMENT", reason, field=field):
                office.send(**asked)
        except (AssertionError, pytest.fail.Exception) as error:
            raise AssertionError(f"{kind}: {error}") from error
    for table in ("signature_requests", "signatures"):
        assert count(office, table) == 0
    query = f"SELECT count(*) FROM audit_events WHERE tenant_id = '{office.tenant_id}' AND trail <> ''"  # noqa: S608
    assert rows(office.server.rows_url, query) == [(0,)]
    assert office.send(document).signatures


def test_a_version_that_is_not_there_is_not_found(sqlite_office: Office) -> None:
    document = sqlite_office.upload()
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="document"):
        sqlite_office.send(documents=[zegel.RequestedDocument(document_id=document.document_id, version=2)])
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", field="documents[0].version"):
        sqlite_office.send(documents=[zegel.RequestedDocument(document_id=document.document_id, version=-1)])


def test_a_deleted_document_is_not_sent_and_a_sent_one_is_not_deleted(office: Office) -> None:
    document, sent = office.upload(), office.upload()
    office.send(sent)
    office.sender.documents.delete_document(document_id=document.document_id)
    with refused("FAILED_PRECONDITION", "DOCUMENT_DESTROYED"):
        office.send(document)
    with refused("FAILED_PRECONDITION", "DOCUMENT_IN_USE"):
        office.owner.documents.delete_document(document_id=sent.document_id)


def test_the_same_request_twice_is_sent_once(office: Office) -> None:
    document = office.upload()
    first, again = (office.send(document, request_id="once") for _ in range(2))
    assert first.signature_request_id == again.signature_request_id
    assert count(office, "signature_requests") == 1
    with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED"):
        office.send(document, request_id="once", title="Another title")


def test_the_same_request_at_the_same_time_is_sent_once(office: Office) -> None:
    """A client that gives up waiting and tries again, while the first try still runs."""
    document = office.upload()
    with ThreadPoolExecutor(8) as threads:
        sent = list(threads.map(lambda _: office.send(document, request_id="at-once"), range(8)))
    assert len({each.signature_request_id for each in sent}) == 1
    assert count(office, "signature_requests") == 1


def test_signing_twice_is_refused_and_repeating_the_call_is_not(office: Office) -> None:
    request = office.send()
    signer = office.signer(request, 0)
    ready(signer, [typed("signature-0", "Sanne")])
    first, again = (signer.ceremony.sign_documents(request_id="mine").ceremony for _ in range(2))
    assert first == again
    with refused("FAILED_PRECONDITION", "RECIPIENT_ALREADY_SIGNED"):
        signer.ceremony.sign_documents()
    with refused("FAILED_PRECONDITION", "RECIPIENT_ALREADY_SIGNED"):
        signer.ceremony.fill_fields(values=[typed("signature-0", "Somebody else")])
    with refused("FAILED_PRECONDITION", "RECIPIENT_ALREADY_SIGNED"):
        signer.ceremony.decline_signature(reason="Too late")
    until(lambda: True if "SIGNED" in office.events(request) else None, "the event")
    assert office.events(request).count("SIGNED") == 1


def test_signing_at_the_same_time_signs_once(office: Office) -> None:
    request = office.send()
    signer = office.signer(request, 0)
    ready(signer, [typed("signature-0", "Sanne")])

    def try_to_sign(_number: int) -> str:
        try:
            signer.ceremony.sign_documents()
        except zegel.RecipientAlreadySigned as error:
            return error.reason
        return "signed"

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(try_to_sign, range(8)))
    assert sorted(outcomes) == ["RECIPIENT_ALREADY_SIGNED"] * 7 + ["signed"]
    until(lambda: True if "SIGNED" in office.events(request) else None, "the event")
    assert office.events(request).count("SIGNED") == 1


def test_who_opens_again_after_signing_does_not_become_a_viewer(office: Office) -> None:
    """A peer's fault: *viewed* overwrites the entry of the signer who had signed."""
    request = office.send()
    signer = office.signer(request, 0)
    sign(signer, 0)
    seen = office.get(request).signatures[0]
    signer.ceremony.open_ceremony()
    office.signer(request, 0).ceremony.open_ceremony()
    assert office.get(request).signatures[0] == seen
    until(lambda: True if "SIGNED" in office.events(request) else None, "the event")
    assert office.events(request).count("VIEWED") == 1


def test_out_of_turn_nothing_is_filled_in_and_nothing_signed(office: Office) -> None:
    request = office.send()
    second = office.signer(request, 1)
    second.ceremony.open_ceremony()
    second.ceremony.accept_disclosure()
    for act in (
        lambda: second.ceremony.fill_fields(values=[typed("signature-1", "Robin")]),
        second.ceremony.sign_documents,
        lambda: second.ceremony.decline_signature(reason="No"),
    ):
        with refused("FAILED_PRECONDITION", "RECIPIENT_OUT_OF_TURN"):
            act()
    seen = second.ceremony.get_ceremony().ceremony
    assert not seen.values
    assert not seen.signature.HasField("sign_time")


# ------------------------------------------------------------------------------------------------------------ tokens


def every_service(client: zegel.Client) -> list[Callable[[], object]]:
    """A call of each service, and one of each kind of stream."""
    return [
        client.identity.get_tenant,
        lambda: list(client.documents.list_documents()),
        lambda: client.documents.download(new_id("doc")),
        lambda: client.documents.upload(b"%PDF-1.7", title="x"),
        lambda: list(client.signing.list_signature_requests()),
        client.ceremony.open_ceremony,
        client.audit.get_checkpoint,
        lambda: next(iter(client.audit.watch_events())),
        lambda: list(client.permissions.list_roles()),
    ]


GOOD = new_token(SESSION_PREFIX)
TOKENS = {
    "absent": (None, "SESSION_MISSING"),
    "empty": ("", "SESSION_MISSING"),
    "malformed": ("hello", "SESSION_MALFORMED"),
    "cut short": (GOOD[:-1], "SESSION_MALFORMED"),
    "one character changed": (GOOD[:10] + ("A" if GOOD[10] != "A" else "B") + GOOD[11:], "SESSION_MALFORMED"),
    "an identifier": (new_id("ses"), "SESSION_MALFORMED"),
    "never given out": (new_token(SESSION_PREFIX), "SESSION_UNKNOWN"),
    "a key never given out": (new_token(API_KEY_PREFIX), "SESSION_UNKNOWN"),
}


@pytest.mark.parametrize("kind", TOKENS)
def test_a_bad_token_opens_no_method_of_any_service(sqlite_office: Office, kind: str) -> None:
    token, reason = TOKENS[kind]
    for call in every_service(sqlite_office.root.with_token(token)):
        with refused("UNAUTHENTICATED", reason):
            call()


def test_a_revoked_session_and_a_revoked_key_are_refused_by_the_next_call(office: Office) -> None:
    session = office.sender.identity.get_current_session().session
    office.owner.identity.revoke_session(session_id=session.session_id)
    for call in every_service(office.sender):
        with refused("UNAUTHENTICATED", "SESSION_REVOKED"):
            call()
    made = office.owner.identity.create_api_key(name="For a day", roles=["member"])
    keyed = office.root.with_token(made.token)
    keyed.identity.get_tenant()
    office.owner.identity.revoke_api_key(api_key_id=made.api_key.api_key_id)
    with refused("UNAUTHENTICATED", "SESSION_REVOKED"):
        keyed.identity.get_tenant()


def test_an_expired_session_is_refused(office: Office) -> None:
    opened = office.owner.identity.create_session(member_id=office.sender_id, expire_time=at(1))
    short = office.root.with_token(opened.token)
    short.identity.get_tenant()
    request = office.send()
    signer = office.signer(request, 0, expire_time=at(1))
    signer.ceremony.get_ceremony()

    def ended(client: zegel.Client) -> bool | None:
        try:
            client.identity.get_current_session()
        except zegel.SessionExpired:
            return True
        return None

    for client in (short, signer):
        until(lambda client=client: ended(client), "the end of the session", 10)  # type: ignore[misc]
    with refused("UNAUTHENTICATED", "SESSION_EXPIRED"):
        signer.ceremony.sign_documents()


def test_another_tenants_token_finds_nothing_and_signs_nothing(office: Office, other_office: Office) -> None:
    request = office.send()
    foreign = other_office.signer(other_office.send(), 0)
    assert foreign.ceremony.get_ceremony().ceremony.signature_request_id != request.signature_request_id
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="document"):
        foreign.documents.download(request.documents[0].document_id)
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="signature_request"):
        other_office.owner.signing.create_signer_session(
            signature_request_id=request.signature_request_id, signature_id=request.signatures[0].signature_id
        )
    own = other_office.send()
    with refused("NOT_FOUND", "RESOURCE_NOT_FOUND", resource="signature"):
        other_office.owner.signing.create_signer_session(
            signature_request_id=own.signature_request_id, signature_id=request.signatures[0].signature_id
        )


def test_a_partner_is_told_all_that_is_wrong_at_once(office: Office) -> None:
    with pytest.raises(zegel.InvalidArgument) as caught:
        office.send(title="", fields=[*usual_fields(), place("extra", "TEXT", page=0), place("date-0", "TEXT")])
    assert [each.field for each in caught.value.violations] == ["title", f"{EXTRA}.page", "fields[5].api_id"]
    assert caught.value.field == "title"
    assert caught.value.violations[0].description == "must not be empty"
