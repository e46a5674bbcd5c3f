"""The European Commission's own validator says of a sealed file what ours says, at each moment of its life."""

import datetime as dt
import subprocess
from pathlib import Path

import pytest

from support.require import need
from support.sealed import make_sealed
from support.tools import find
from zegel.verification import verify_pdf
from zegel_server.pdf.authority import DevelopmentAuthority


@pytest.mark.slow
def test_eu_dss_agrees_today_after_the_lists_have_ended_and_until_the_last_timestamp_does(tmp_path: Path) -> None:
    found = find("eu-dss")
    need(found, "the program eu-dss", "scripts/install-eu-dss")
    sealed = make_sealed(tmp_path / "authority")
    authority = DevelopmentAuthority.open(tmp_path / "authority")
    (tmp_path / "sealed.pdf").write_bytes(sealed.pdf)
    (tmp_path / "root.pem").write_bytes(sealed.root_pem)
    now, end = dt.datetime.now(dt.UTC).replace(microsecond=0), authority.timestamp.certificate.not_valid_after_utc
    day = dt.timedelta(days=1)
    moments = [now + dt.timedelta(minutes=1), now + 8 * day, now + 365 * day, now + 4 * 365 * day, end - day, end + day]
    times = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in moments]
    command: list[str | Path] = [str(found), tmp_path / "sealed.pdf", tmp_path / "root.pem", *times]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    good = "TOTAL_PASSED null PAdES-BASELINE-LTA"
    lines = done.stdout.splitlines()
    assert lines[:-1] == [good] * (len(moments) - 1)
    assert lines[-1].startswith("INDETERMINATE OUT_OF_BOUNDS_NO_POE")
    ours = [verify_pdf(sealed.pdf, [sealed.vkey], [sealed.root_pem], now=moment).ok for moment in moments]
    assert ours == [line == good for line in lines]
