"""The sealed files that were got wrong once, and each of those attacks made anew on the form that is written now."""

from pathlib import Path

import pytest

from support.effort import Effort
from support.shared import shared
from zegel.evidence.verification import Report, verify_pdf


def case(name: str) -> Path:
    return shared(f"cases/sealed/{name}")


def check(name: str) -> Report:
    key, trust = case("log.vkey").read_text(), case("prod-trust.pem").read_bytes()
    return verify_pdf(case(f"{name}.pdf").read_bytes(), [key], [trust])


@pytest.mark.parametrize(
    "name",
    [
        "second-body",
        "page-script-in-timestamp-field",
        "title-changed",
        "resealed-same-issuer",
        "resealed-under-timestamp-root",
        "nested-kids",
        "shared-forms-18",
        "honest",  # sealed in the form that came before this one
    ],
)
def test_a_sealed_file_that_was_got_wrong_once_is_refused_within_a_second(name: str) -> None:
    with Effort() as effort:
        report = check(name)
    assert effort.seconds < 1
    assert not report.ok
    assert report.failures[0].name == "structure"
    assert report.failures[0].detail != "A structure in the file cannot be read."
