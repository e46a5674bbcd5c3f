"""Signers far from the server: the day is theirs, and says so, on the pages and in the evidence."""

import io
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from rich.console import Console

from support.flow import Office, sign, usual_signers
from support.pdfs import shown_text
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
