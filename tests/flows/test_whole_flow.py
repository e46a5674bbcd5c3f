"""A document goes in; a sealed document that anyone can verify comes out: over a real server, through the SDK alone."""

import asyncio
import hashlib
import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pikepdf
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_pdf_signature, async_validate_pdf_timestamp
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator import ValidationContext

import zegel
from support.flow import (
    ALL_SIGNED,
    AWAITING,
    DOWNLOADABLE,
    Finished,
    Office,
    place,
    ready,
    refused,
    sign,
    typed,
    until,
    usual_fields,
    usual_signers,
)
from support.pdfs import png, shown_text
from support.sealed import make_pdf
from support.tools import tool
from zegel.evidence.verification import load_certificates

TRAIL = [
    "SENT",
    "SIGNER_SESSION_CREATED",
    "SIGNER_SESSION_CREATED",
    *("VIEWED", "DOCUMENT_DOWNLOADED", "DISCLOSURE_ACCEPTED", "FIELDS_FILLED", "SIGNED") * 2,
    "ALL_SIGNED",
]
"""What two signers leave behind who sign one after the other."""


def state(name: str) -> zegel.SignatureRequestState:
    return zegel.SignatureRequestState[name]


def statuses(request: zegel.SignatureRequest) -> list[str]:
    return [zegel.SignatureStatus(each.status).name for each in request.signatures]


def soon(seconds: float) -> Timestamp:
    at = Timestamp()
    at.FromDatetime(datetime.now(UTC) + timedelta(seconds=seconds))
    return at


def expire(office: Office, request: zegel.SignatureRequest, seconds: float) -> None:
    """Has a request expire so soon; on a machine that was held up for longer, it is asked again for a later time."""

    def reschedule() -> bool | None:
        changed = zegel.SignatureRequest(
            signature_request_id=request.signature_request_id,
            etag=office.get(request).etag,
            expire_time=soon(seconds),
        )
        try:
            office.sender.signing.update_signature_request(
                signature_request=changed, update_mask=FieldMask(paths=["expire_time"])
            )
        except zegel.InvalidArgument:
            return None
        return True

    until(reschedule, "the new time")


def others_agree(done: Finished, authority: bytes, folder: Path) -> None:
    """Other people's tools find the file good as well."""
    path = folder / "signed.pdf"
    path.write_bytes(done.sealed)
    checked = subprocess.run([tool("qpdf"), "--check", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    seen = subprocess.run([tool("pdfsig"), "-nocert", path], capture_output=True, text=True, check=True).stdout
    assert seen.count("Signature is Valid") == 1, seen
    assert seen.count("Total document signed") == 1, seen
    asyncio.run(pyhanko_agrees(done.sealed, authority))


async def pyhanko_agrees(sealed: bytes, authority: bytes) -> None:
    reader = PdfFileReader(io.BytesIO(sealed), strict=True)

    held = list(DocumentSecurityStore.read_dss(reader).load_certs())

    def context() -> ValidationContext:
        return ValidationContext(
            trust_roots=load_certificates(authority),
            other_certs=held,
            allow_fetching=False,
            revocation_mode="soft-fail",
        )

    seal, *stamps = reader.embedded_signatures
    status = await async_validate_pdf_signature(seal, context())
    assert status.bottom_line, status.pretty_print_details()
    assert status.docmdp_ok
    assert [stamp.sig_object_type for stamp in stamps] == ["/DocTimeStamp"]
    stamped = await async_validate_pdf_timestamp(stamps[0], context())
    assert stamped.valid
    assert stamped.trusted


def test_two_sign_in_order_and_anyone_can_verify(office: Office, tmp_path: Path) -> None:
    original = make_pdf("An agreement between two", pages=3)
    document = office.upload(original)
    assert len(document.versions[0].pages) == 3
    request = office.send(document)
    assert (request.state, statuses(request)) == (AWAITING, ["AWAITING_SIGNATURE", "ON_HOLD"])
    first, second = office.signer(request, 0), office.signer(request, 1)
    with refused("FAILED_PRECONDITION", "RECIPIENT_OUT_OF_TURN"):
        second.ceremony.sign_documents()

    sign(first, 0)
    assert statuses(office.get(request)) == ["SIGNED", "AWAITING_SIGNATURE"]
    told = sign(second, 1)
    assert told.state in {ALL_SIGNED, DOWNLOADABLE}

    done = office.finish(request)
    assert done.report.ok, done.report.failures
    assert [check.name for check in done.report.checks] == [
        "structure", "document_timestamp", "seal", "audit_trail", "rendition", "seal_certificate", "detached_proof",
    ]  # fmt: skip
    assert done.report.facts.audit_id == request.audit_id
    assert (document.document_id, hashlib.sha256(original).hexdigest()) in {
        (each.name, each.sha256) for each in done.report.facts.documents
    }
    assert [event.type.removeprefix("SIGNATURE_REQUEST_") for event in done.report.facts.events] == TRAIL
    assert office.events(request) == [*TRAIL, "DOWNLOADABLE", "DOCUMENT_DOWNLOADED"][: len(office.events(request))]
    last = shown_text(done.sealed, 3)
    assert request.audit_id in last
    for name in ("Sanne de Vries", "Robin Jansen"):
        assert name in last
        assert name in shown_text(done.sealed, 0)
    assert datetime.now(UTC).date().isoformat() in shown_text(done.sealed, 0)
    others_agree(done, office.server.authority, tmp_path)


def test_the_command_says_the_same_and_notices_one_changed_byte(sqlite_office: Office, tmp_path: Path) -> None:
    request = sqlite_office.send()
    for index in range(2):
        sign(sqlite_office.signer(request, index), index)
    done = sqlite_office.finish(request)
    (tmp_path / "log.vkey").write_text(done.log_key)
    (tmp_path / "authority.pem").write_bytes(sqlite_office.server.authority)

    def verify(pdf: bytes) -> tuple[int, bool]:
        (tmp_path / "signed.pdf").write_bytes(pdf)
        command: list[str | Path] = [Path(sys.executable).parent / "zegel", "verify", "signed.pdf", "--json"]
        command += ["--log-key", "log.vkey", "--trust", "authority.pem"]
        found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return found.returncode, json.loads(found.stdout)["valid"]

    assert verify(done.sealed) == (0, True)
    middle = len(done.sealed) // 2
    assert verify(done.sealed[:middle] + bytes([done.sealed[middle] ^ 1]) + done.sealed[middle + 1 :]) == (1, False)
    assert verify(done.sealed + b"\n") == (1, False)


def test_several_documents_become_one_sealed_file_with_every_kind_of_field(office: Office, tmp_path: Path) -> None:
    documents = [
        office.upload(make_pdf(f"Part {letter}", pages), f"Part {letter}") for letter, pages in [("A", 1), ("B", 2)]
    ]
    fields = [
        place("drawn", width=120.0, height=60.0),
        place("initials", "INITIALS", document_index=1, page=2, y=40.0, width=60.0, height=30.0),
        place("note", "TEXT", document_index=1, page=1, y=100.0, height=20.0, required=True),
        place("optional", "TEXT", document_index=1, page=1, y=140.0, height=20.0),
        place("agree", "CHECKBOX", y=200.0, width=14.0, height=14.0, required=True),
        place("date", "DATE_SIGNED", document_index=1, page=2, y=200.0, height=18.0),
    ]
    request = office.send(*documents, signers=usual_signers(1), fields=fields)
    assert [each.page_count for each in request.documents] == [1, 2]
    signer = office.signer(request, 0)
    picture = png(300, 150)
    values = [
        zegel.FieldValue(api_id="drawn", mark=zegel.Mark(drawn_png=picture)),
        typed("initials", "SdV"),
        zegel.FieldValue(api_id="note", text="Keys: three, Ključ, 鍵"),
    ]
    ready(signer, values)
    with refused("FAILED_PRECONDITION", "RECIPIENT_HAS_UNSIGNED_FIELDS", field_api_id="agree"):
        signer.ceremony.sign_documents()
    seen = signer.ceremony.fill_fields(values=[zegel.FieldValue(api_id="agree", checked=True)]).ceremony
    assert {each.api_id for each in seen.values} == {"drawn", "initials", "note", "agree"}
    signer.ceremony.sign_documents()
    done = office.finish(request)
    assert done.report.ok, done.report.failures
    texts = [shown_text(done.sealed, page) for page in range(3)]
    assert "Part A" in texts[0]
    assert "Part B, page 1" in texts[1]
    assert "Keys: three" in texts[1]
    assert "SdV" in texts[2]
    assert datetime.now(UTC).date().isoformat() in texts[2]
    with pikepdf.open(io.BytesIO(done.sealed)) as opened:
        assert {"audit.jsonl", "completed.tlog-proof"} <= set(opened.attachments)
        assert len(opened.pages[0].resources.XObject) >= 1
    others_agree(done, office.server.authority, tmp_path)


def test_a_bad_picture_is_refused_and_nothing_is_filled_in(sqlite_office: Office) -> None:
    request = sqlite_office.send()
    signer = sqlite_office.signer(request, 0)
    signer.ceremony.open_ceremony()
    signer.ceremony.accept_disclosure()
    good = png(30, 30)
    for bad in (b"GIF89a", good[:45], good[:50] + b"\x00" * 40):
        with refused("INVALID_ARGUMENT", "INVALID_FIELD", field="values[0].mark.drawn_png"):
            signer.ceremony.fill_fields(values=[zegel.FieldValue(api_id="signature-0", mark=zegel.Mark(drawn_png=bad))])
    assert not signer.ceremony.get_ceremony().ceremony.values


def test_signers_of_equal_order_sign_in_any(office: Office) -> None:
    request = office.send(signers=usual_signers(3, in_order=False))
    for index in (2, 0, 1):
        sign(office.signer(request, index), index)
    assert office.finish(request).report.ok


def test_who_declines_ends_the_request(office: Office) -> None:
    request = office.send()
    first, second = office.signer(request, 0), office.signer(request, 1)
    first.ceremony.open_ceremony()
    declined = first.ceremony.decline_signature(reason="The rent is wrong").ceremony
    assert declined.state == state("DECLINED")
    now = office.get(request)
    assert statuses(now)[0] == "DECLINED"
    assert now.signatures[0].decline_reason == "The rent is wrong"
    for act in (first.ceremony.accept_disclosure, first.ceremony.sign_documents):
        with refused("FAILED_PRECONDITION", "RECIPIENT_DECLINED"):
            act()
    for act in (second.ceremony.accept_disclosure, second.ceremony.sign_documents):
        with refused("FAILED_PRECONDITION", "SIGNATURE_REQUEST_CLOSED", state="DECLINED"):
            act()
    with refused("FAILED_PRECONDITION", "SIGNATURE_REQUEST_CLOSED", state="DECLINED"):
        office.sender.signing.cancel_signature_request(signature_request_id=request.signature_request_id)
    assert not now.sealed_document_id


def test_a_canceled_request_takes_no_signature(office: Office) -> None:
    request = office.send()
    first = office.signer(request, 0)
    ready(first, [typed("signature-0", "Sanne")])
    canceled = office.sender.signing.cancel_signature_request(
        signature_request_id=request.signature_request_id
    ).signature_request
    assert canceled.state == state("CANCELED")
    again = office.sender.signing.cancel_signature_request(
        signature_request_id=request.signature_request_id
    ).signature_request
    assert again == canceled
    with refused("UNAUTHENTICATED", "SESSION_REVOKED"):
        first.ceremony.sign_documents()
    until(lambda: True if "CANCELED" in office.events(request) else None, "the event")
    assert office.events(request).count("CANCELED") == 1


def test_a_request_expires_by_itself(office: Office) -> None:
    request = office.send()
    first = office.signer(request, 0)
    ready(first, [typed("signature-0", "Sanne")])
    expire(office, request, 1.5)
    until(lambda: office.get(request).state != AWAITING or None, "the end")
    assert office.get(request).state == state("EXPIRED")
    assert set(statuses(office.get(request))) == {"EXPIRED"}
    with refused("FAILED_PRECONDITION", "RECIPIENT_EXPIRED"):
        first.ceremony.sign_documents()
    until(lambda: True if "EXPIRED" in office.events(request) else None, "the event")


def test_a_request_is_expired_the_moment_it_is_even_before_the_sweep(office: Office) -> None:
    request = office.send()
    first = office.signer(request, 0)
    ready(first, [typed("signature-0", "Sanne")])
    expire(office, request, 0.8)

    def ask() -> zegel.ZegelError | None:
        try:
            first.ceremony.fill_fields(values=[typed("signature-0", "Sanne")])
        except zegel.FailedPrecondition as error:
            return error
        return None

    assert until(ask, "the refusal").reason == "RECIPIENT_EXPIRED"
    with refused("FAILED_PRECONDITION", "RECIPIENT_EXPIRED"):
        first.ceremony.sign_documents()
    assert statuses(office.get(request))[0] != "SIGNED"


def test_an_expiry_is_taken_back_by_who_knows_the_request_as_it_is(sqlite_office: Office) -> None:
    office = sqlite_office
    request = office.send(expire_time=soon(3600))
    changed = office.sender.signing.update_signature_request(
        signature_request=zegel.SignatureRequest(signature_request_id=request.signature_request_id, etag=request.etag),
        update_mask=FieldMask(paths=["expire_time"]),
    ).signature_request
    assert not changed.HasField("expire_time")
    with refused("ABORTED", "ETAG_MISMATCH"):
        office.sender.signing.update_signature_request(
            signature_request=zegel.SignatureRequest(
                signature_request_id=request.signature_request_id, etag=request.etag, expire_time=soon(60)
            ),
            update_mask=FieldMask(paths=["expire_time"]),
        )
    assert not office.get(request).HasField("expire_time")


def test_the_sealed_document_is_a_document_of_the_sender_and_of_each_signer(office: Office) -> None:
    request = office.send()
    signers = [office.signer(request, index) for index in range(2)]
    for index, signer in enumerate(signers):
        sign(signer, index)
    done = office.finish(request)
    for signer in signers:
        seen = signer.ceremony.get_ceremony().ceremony
        assert seen.sealed_document_id == done.request.sealed_document_id
        assert signer.documents.download(seen.sealed_document_id) == done.sealed
    listed = [each.document_id for each in office.sender.documents.list_documents()]
    assert listed[0] == done.request.sealed_document_id
    with refused("FAILED_PRECONDITION", "FAILED_PRECONDITION", state="SEALED"):
        office.sender.documents.upload(make_pdf("Another"), document_id=done.request.sealed_document_id)


def test_nothing_can_be_filled_in_before_the_disclosure_is_accepted(sqlite_office: Office) -> None:
    signer = sqlite_office.signer(sqlite_office.send(), 0)
    signer.ceremony.open_ceremony()
    with refused("FAILED_PRECONDITION", "DISCLOSURE_NOT_ACCEPTED"):
        signer.ceremony.fill_fields(values=[typed("signature-0", "Sanne")])
    with refused("FAILED_PRECONDITION", "DISCLOSURE_NOT_ACCEPTED"):
        signer.ceremony.sign_documents()


def test_fields_of_another_signer_cannot_be_filled(sqlite_office: Office) -> None:
    signer = sqlite_office.signer(sqlite_office.send(fields=usual_fields(2)), 0)
    signer.ceremony.accept_disclosure()
    with refused("INVALID_ARGUMENT", "INVALID_FIELD", field="values[1].api_id"):
        signer.ceremony.fill_fields(values=[typed("signature-0", "Sanne"), typed("signature-1", "Robin")])
    assert not signer.ceremony.get_ceremony().ceremony.values
