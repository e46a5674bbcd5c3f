"""Signers far from the server: the day is theirs and says so, and the sender's server may say where they are."""

import io
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from rich.console import Console

import zegel
from support.flow import Office, ready, sign, typed, usual_signers
from support.pdfs import shown_text
from zegel.audit.v1.audit_service_pb2 import Event
from zegel.cli.verify_report import print_report

LONGEST = "America/Argentina/ComodRivadavia"


def days_in(zone: str, began: datetime) -> set[str]:
    """The days that it can have been there since a time."""
    return {f"{at.astimezone(ZoneInfo(zone)).date().isoformat()} {zone}" for at in (began, datetime.now(UTC))}


def test_the_day_of_signing_is_the_signers_and_names_its_zone(office: Office) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    first, second = usual_signers(in_order=False)
    second.time_zone = "Pacific/Kiritimati"
    request = office.send(signers=[first, second], time_zone=LONGEST)
    assert (request.time_zone, [each.time_zone for each in request.signatures]) == (
        LONGEST,
        [LONGEST, "Pacific/Kiritimati"],
    )
    for index in range(2):
        sign(office.signer(request, index), index)
    done = office.finish(request)
    assert done.report.ok, done.report.failures
    page, audit = (" ".join(shown_text(done.sealed, number).split()) for number in (0, 1))
    for zone in (LONGEST, "Pacific/Kiritimati"):
        assert any(day in page for day in days_in(zone, began))
    assert "All times are in Coordinated Universal Time (UTC)" in audit
    assert any(f"Dated {day}" in audit for day in days_in("Pacific/Kiritimati", began))
    told = [(each.signature, each.page, each.time_zone) for each in done.report.facts.days]
    assert told == [
        (request.signatures[0].signature_id, 1, LONGEST),
        (request.signatures[1].signature_id, 1, "Pacific/Kiritimati"),
    ]
    assert [each["time_zone"] for each in json.loads(json.dumps(done.report.as_dict()))["days"]] == [
        LONGEST,
        "Pacific/Kiritimati",
    ]
    output = io.StringIO()
    print_report(done.report, "signed.pdf", Console(file=output, width=200))
    assert f"of {request.signatures[1].signature_id}, on page 1, is in Pacific/Kiritimati" in output.getvalue()


ORIGIN = {
    "address": "2001:db8::7",
    "user_agent": "Mozilla/5.0 (Linux; Android 17; Pixel 12) AppleWebKit/537.36",
    "time_zone": "Asia/Jerusalem",
}


def told(event: Event) -> dict[str, str]:
    said = event.personal.asserted_origin
    return {field.name: value for field, value in said.ListFields()}


def test_where_a_signer_was_is_asserted_by_the_caller_and_apart_from_what_zegel_saw(office: Office) -> None:
    first, second = usual_signers(in_order=False)
    first.name = "עומר הרצל"
    request = office.send(signers=[first, second])
    visitor = office.signer(request, 0).with_asserted_origin(**ORIGIN)
    ready(visitor, [typed("signature-0", "עומר הרצל")])
    visitor.ceremony.sign_documents(asserted_origin=zegel.AssertedOrigin(address="203.0.113.9"))
    sign(visitor.with_token(office.signer(request, 1)._call.token), 1)
    done = office.finish(request)
    assert done.report.ok, done.report.failures
    events = {
        (zegel.EventType(each.type).name, each.principal_id): each
        for each in office.owner.audit.list_events(signature_request_id=request.signature_request_id)
    }
    one, two = (each.signature_id for each in request.signatures)
    for name in ("SIGNATURE_REQUEST_VIEWED", "DISCLOSURE_ACCEPTED", "FIELDS_FILLED"):
        assert told(events[name, one]) == ORIGIN
        assert told(events[name, two]) == {}
    assert told(events["SIGNATURE_REQUEST_SIGNED", one]) == {"address": "203.0.113.9"}
    assert told(events["DOCUMENT_DOWNLOADED", one]) == {}
    seen = {(each.personal.address, each.personal.user_agent.partition("/")[0]) for each in events.values()}
    assert {each for each in seen if each[0]} == {("127.0.0.1", "zegel-python")}
    for secret in (b"2001:db8::7", b"Android", b"203.0.113.9"):
        assert secret not in done.transaction.audit_jsonl + done.transaction.openings

    audit = " ".join(" ".join(shown_text(done.sealed, number).split()) for number in (1, 2))
    assert "ASSERTED BY THE CALLER, NOT SEEN BY ZEGEL" in audit
    for text in (*ORIGIN.values(), "203.0.113.9", "127.0.0.1", "Accepted the disclosure", "disclosure, version 2"):
        assert text in audit
    found = {(each.type, each.actor): each for each in done.report.facts.events}
    assert found["DISCLOSURE_ACCEPTED", one].asserted == ("address", "time_zone", "user_agent")
    assert found["DISCLOSURE_ACCEPTED", one].disclosure == 2
    assert found["SIGNATURE_REQUEST_SIGNED", one].asserted == ("address",)
    assert found["SIGNATURE_REQUEST_SIGNED", two].asserted == ()
    output = io.StringIO()
    print_report(done.report, "signed.pdf", Console(file=output, width=200))
    shown = " ".join(output.getvalue().split())
    assert "(asserted by the caller: the signer's address, time zone, program)" in shown
    assert "disclosure accepted, version 2" in shown
