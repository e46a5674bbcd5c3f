"""A sealed file as it is, with one byte changed, and held against other trust or another time."""

import datetime as dt
import hashlib
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.forging import World, make_world
from support.sealed import Sealed, log_key, make_pdf, make_rendition, make_sealed
from zegel.evidence.sealed_file.reading import read_sealed_file
from zegel.evidence.transparency import InvalidKey
from zegel.evidence.verification import Report, load_certificates, verify_pdf
from zegel_server.credentials.development_authority import DevelopmentAuthority

CHECKS = [
    "structure",
    "document_timestamp",
    "seal",
    "audit_trail",
    "rendition",
    "seal_certificate",
    "detached_proof",
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def sealed(world: World) -> Sealed:
    return world.sealed


def check(sealed: Sealed, pdf: bytes | None = None, **options: object) -> Report:
    """Without the detached proof, which would refuse every change by itself."""
    return verify_pdf(sealed.pdf if pdf is None else pdf, [sealed.vkey], [sealed.root_pem], **options)  # type: ignore[arg-type]


def failed(report: Report) -> set[str]:
    assert not report.ok
    return {failure.name for failure in report.failures}


# ------------------------------------------------------------------------------------------------------ a file as it is


def test_a_sealed_file_is_valid_and_says_what_it_proves(sealed: Sealed) -> None:
    report = verify_pdf(sealed.pdf, [sealed.vkey], [sealed.root_pem], sealed.detached)
    assert report.ok, report.failures
    assert [c.name for c in report.checks] == CHECKS
    assert all(c.detail.endswith(".") for c in report.checks)
    facts = report.facts
    assert facts.audit_id == "trail-0001"
    assert facts.log == "log.example.org/zegel"
    assert facts.sealed_by == "Zegel Development seal"
    assert facts.timestamped_by == "Zegel Development Timestamps"
    assert facts.sealed_at is not None
    assert abs(facts.sealed_at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)
    assert [event.type.rpartition("_")[2] for event in facts.events] == ["SENT", "SIGNED", "SIGNED"]
    original, rendition = facts.documents
    assert (original.content, original.sha256) == ("original", hashlib.sha256(make_pdf()).hexdigest())
    shown = make_rendition(make_pdf())
    assert (rendition.content, rendition.sha256) == ("rendition", hashlib.sha256(shown).hexdigest())
    assert sealed.pdf[: facts.rendition_length] == shown


def test_without_the_detached_proof_it_is_valid_and_says_what_is_not_proved(sealed: Sealed) -> None:
    report = check(sealed)
    assert report.ok
    assert [c.name for c in report.checks] == CHECKS[:-1]
    assert "that this very file is in the log" in " ".join(report.warnings)


async def test_it_verifies_inside_an_event_loop(sealed: Sealed) -> None:
    assert check(sealed).ok


def test_more_trusted_keys_and_roots_do_no_harm(sealed: Sealed, tmp_path: Path) -> None:
    other = DevelopmentAuthority.open(tmp_path)
    keys = [str(log_key("other.example.org", 9).verifier), sealed.vkey]
    assert verify_pdf(sealed.pdf, keys, [other.root_pem + sealed.root_pem]).ok
    assert verify_pdf(sealed.pdf, keys, [load_certificates(sealed.root_pem)[0].dump()]).ok


def test_a_seal_soon_after_the_last_event_is_nothing_to_tell(sealed: Sealed) -> None:
    assert not any("later than" in warning or "earlier than" in warning for warning in check(sealed).warnings)


@pytest.mark.parametrize(("days", "said"), [(-3, "3 days later"), (1, "earlier than the trail's last event")])
def test_a_seal_long_after_or_before_the_last_event_is_told(tmp_path: Path, days: int, said: str) -> None:
    ended = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    report = check(make_sealed(tmp_path, ended=ended))
    assert report.ok, report.failures
    assert said in " ".join(report.warnings)


# --------------------------------------------------------------------------------------------------- one changed byte


def test_one_changed_byte_anywhere_is_refused(sealed: Sealed) -> None:
    choose = random.Random(20261127)  # noqa: S311 - which bytes, not a secret
    file = read_sealed_file(sealed.pdf)
    (seal_start, seal_end), (start, end) = file.completion.gap, file.timestamps[-1].gap
    edges = [place + by for place in (*file.ends, seal_start, seal_end, start, end) for by in (-1, 0)]
    parts = zip((0, *file.ends[:-1]), file.ends, strict=True)
    positions = {
        *(each for part in parts for each in choose.sample(range(*part), 40)),
        *choose.sample(range(seal_start, seal_end), 20),
        *choose.sample(range(start, end), 20),
        *(each for each in edges if each < len(sealed.pdf)),
        0,
    }
    for position in sorted(positions):
        pdf = bytearray(sealed.pdf)
        pdf[position] ^= 1 << choose.randrange(8)
        assert not check(sealed, bytes(pdf)).ok, position


@pytest.mark.parametrize("added", [b"\n", b" ", b"\0", b"%", b"%%EOF\n", b"x" * 1000, b"1 0 obj\nnull\nendobj\n"])
def test_nothing_may_follow(sealed: Sealed, added: bytes) -> None:
    assert failed(check(sealed, sealed.pdf + added)) == {"structure"}


@pytest.mark.parametrize("removed", [1, 2, 5, 100, 3000, 10_000])
def test_nothing_may_be_cut_off(sealed: Sealed, removed: int) -> None:
    assert failed(check(sealed, sealed.pdf[:-removed])) == {"structure"}


def test_every_earlier_revision_alone_is_refused(sealed: Sealed) -> None:
    for end in read_sealed_file(sealed.pdf).ends[:-1]:
        assert failed(check(sealed, sealed.pdf[:end])) == {"structure"}


@pytest.mark.parametrize("before", [b"\n", b"%PDF-1.7\n", b"\xef\xbb\xbf"])
def test_nothing_may_precede(sealed: Sealed, before: bytes) -> None:
    assert failed(check(sealed, before + sealed.pdf)) == {"structure"}


def test_a_file_twice_is_refused(sealed: Sealed) -> None:
    assert failed(check(sealed, sealed.pdf * 2)) == {"structure"}


# ---------------------------------------------------------------------------------------- trust in others, or none


def test_another_logs_key_is_refused(sealed: Sealed) -> None:
    for key in (log_key(seed=8), log_key("other.example.org", 7)):
        report = verify_pdf(sealed.pdf, [str(key.verifier)], [sealed.root_pem], sealed.detached)
        assert failed(report) == {"audit_trail", "detached_proof"}
        assert report.facts.events == ()


def test_another_root_is_refused_for_the_seal_and_for_time(sealed: Sealed, tmp_path: Path) -> None:
    root = DevelopmentAuthority.open(tmp_path).root_pem
    report = verify_pdf(sealed.pdf, [sealed.vkey], [root], sealed.detached)
    assert failed(report) == {"document_timestamp", "seal", "seal_certificate"}
    both = verify_pdf(sealed.pdf, [sealed.vkey], [sealed.root_pem], timestamp_roots=[root])
    assert failed(both) == {"document_timestamp"}
    seals = verify_pdf(sealed.pdf, [sealed.vkey], [root], timestamp_roots=[sealed.root_pem])
    assert failed(seals) == {"seal", "seal_certificate"}


def test_roots_that_are_named_apart_are_not_warned_of(sealed: Sealed) -> None:
    named = check(sealed, timestamp_roots=[sealed.root_pem])
    assert named.ok
    assert not any("--timestamp-trust" in warning for warning in named.warnings)
    assert any("--timestamp-trust" in warning for warning in check(sealed).warnings)


def test_a_seal_is_by_a_pinned_certificate_or_refused(sealed: Sealed) -> None:
    own = check(sealed).facts.seal_certificate
    assert check(sealed, seal_pins=["00" * 32, own.upper()]).ok
    assert failed(check(sealed, seal_pins=["00" * 32])) == {"seal", "seal_certificate"}


def test_no_roots_and_no_keys_trust_nobody(sealed: Sealed) -> None:
    assert {"document_timestamp", "seal", "audit_trail"} <= failed(verify_pdf(sealed.pdf, [], []))


def test_another_files_proof_is_refused(sealed: Sealed, world: World, tmp_path: Path) -> None:
    other = make_sealed(tmp_path, make_pdf("Another agreement"))
    for proof in (other.detached, b"", b"c2sp.org/tlog-proof@v1\n", sealed.detached[:-1], sealed.detached + b"\n"):
        report = verify_pdf(sealed.pdf, [sealed.vkey], [sealed.root_pem], proof)
        assert failed(report) == {"detached_proof"}
    again = world.forger.restamped(sealed.pdf)
    assert failed(verify_pdf(again, [sealed.vkey], [sealed.root_pem], sealed.detached)) == {"detached_proof"}


# ----------------------------------------------------------------------------------------------------------- the clock


@pytest.mark.parametrize("years", [0, 1, 4, 10])
def test_it_stays_valid_when_the_seals_certificate_has_expired(sealed: Sealed, years: int) -> None:
    report = check(sealed, now=dt.datetime.now(dt.UTC) + dt.timedelta(days=365 * years))
    assert report.ok, report.failures


def test_it_is_no_longer_valid_when_the_timestamps_certificate_has_expired(sealed: Sealed) -> None:
    assert failed(check(sealed, now=dt.datetime.now(dt.UTC) + dt.timedelta(days=365 * 13))) == {"document_timestamp"}


@pytest.mark.parametrize("back", [dt.timedelta(minutes=10), dt.timedelta(days=365)])
def test_it_is_not_valid_before_it_was_sealed(sealed: Sealed, back: dt.timedelta) -> None:
    assert failed(check(sealed, now=dt.datetime.now(dt.UTC) - back)) == {"document_timestamp"}


# -------------------------------------------------------------------------------------------------------- other files


@pytest.mark.parametrize(
    "pdf",
    [b"", b"%PDF-1.7\n", b"%PDF-1.7\n%%EOF\n", b"\0" * 1000, b"not a PDF at all", make_pdf(), make_pdf()[:500]],
    ids=["empty", "header", "no objects", "zeros", "text", "unsigned", "cut"],
)
def test_what_is_no_sealed_file_gets_a_report(sealed: Sealed, pdf: bytes) -> None:
    assert failed(check(sealed, pdf)) == {"structure"}
    report = verify_pdf(pdf, [sealed.vkey], [sealed.root_pem], sealed.detached)
    assert failed(report) == {"structure", "detached_proof"}


def test_a_rendition_alone_is_no_sealed_file(sealed: Sealed) -> None:
    report = check(sealed, make_rendition(make_pdf()))
    assert failed(report) == {"structure"}
    assert "fewer revisions" in report.failures[0].detail


@settings(max_examples=60)
@given(data=st.data())
def test_no_damage_makes_it_raise(sealed: Sealed, data: st.DataObject) -> None:
    pdf = bytearray(sealed.pdf)
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(pdf)))
        end = data.draw(st.integers(start, min(len(pdf), start + 200)))
        pdf[start:end] = data.draw(st.binary(max_size=200))
    assert check(sealed, bytes(pdf)).ok == (bytes(pdf) == sealed.pdf)


def test_unusable_trust_is_the_callers_error(sealed: Sealed) -> None:
    for root in (b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(ValueError, match=r".*"):
            verify_pdf(sealed.pdf, [sealed.vkey], [root])
        with pytest.raises(ValueError, match=r".*"):
            verify_pdf(sealed.pdf, [sealed.vkey], [sealed.root_pem], timestamp_roots=[root])
    with pytest.raises(InvalidKey):
        verify_pdf(sealed.pdf, ["junk"], [sealed.root_pem])


def test_the_rest_of_the_sdk_does_not_load_it() -> None:
    found = "[m for m in sys.modules if m.startswith(('pyhanko', 'rich', 'typer'))]"
    code = f"import sys, zegel.evidence.trail; print({found})"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"], capture_output=True, check=True
    )
    assert done.stdout.strip() == b"[]"
