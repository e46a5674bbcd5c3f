"""What the server shows and seals with follows its files."""

import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from support.certificates import revocation_list
from zegel_server import clock
from zegel_server.credentials import RevocationLists
from zegel_server.errors import Unavailable


def put(path: Path, data: bytes) -> None:
    """Replaces a file, as whoever renews a list should."""
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)


def test_a_renewed_list_is_embedded_without_a_restart(tmp_path: Path) -> None:
    path, other = tmp_path / "a.crl", tmp_path / "b.crl"
    first, second, third = (revocation_list(number).public_bytes(Encoding.DER) for number in range(3))
    put(path, first)
    put(other, second)
    lists = RevocationLists([path, other], [b"own"])
    assert lists.current() == (b"own", first, second)
    put(other, x509.load_der_x509_crl(third).public_bytes(Encoding.PEM))
    assert lists.current() == (b"own", first, third)


@pytest.mark.parametrize("broken", ["gone", "garbage", "half"])
def test_the_last_good_list_stays_while_the_file_is_none(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "a.crl"
    first, second = (revocation_list(number).public_bytes(Encoding.DER) for number in range(2))
    put(path, first)
    lists = RevocationLists([path])
    if broken == "gone":
        path.unlink()
    else:
        put(path, os.urandom(40) if broken == "garbage" else second[:-9])
    assert lists.current() == (first,)
    put(path, second)
    assert lists.current() == (second,)


def failures(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("zegel_revocation_list_failures_total")


async def test_the_operator_is_told_of_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    path, registry = tmp_path / "a.crl", CollectorRegistry()
    first = revocation_list(0).public_bytes(Encoding.DER)
    put(path, first)
    lists = RevocationLists([path], registry=registry)
    with capture_logs() as told:
        await lists.keep_up()
        assert (failures(registry), told) == (0, [])
        path.unlink()
        for _ in range(3):
            await lists.keep_up()
        assert lists.current() == (first,)
        assert failures(registry) == 4
        assert [(each["event"], each["file"], each["error"]) for each in told] == [
            ("revocation list not read", str(path), "FileNotFoundError")
        ]
        put(path, first)
        await lists.keep_up()
    assert (failures(registry), len(told)) == (4, 2)


def test_nothing_is_sealed_with_a_list_past_its_next_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other, registry = tmp_path / "a.crl", tmp_path / "b.crl", CollectorRegistry()
    first, second = (revocation_list(number, 1 + number) for number in range(2))
    put(path, first.public_bytes(Encoding.DER))
    put(other, second.public_bytes(Encoding.PEM))
    lists = RevocationLists([path, other], registry=registry)
    next_update = registry.get_sample_value("zegel_revocation_list_next_update_seconds")
    assert first.next_update_utc is not None
    assert next_update == first.next_update_utc.timestamp()
    assert len(lists.current()) == 2

    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + clock.DAY)
    put(path, b"not yet whole")
    told: list[int] = []
    for _ in range(2):
        with capture_logs() as logged, pytest.raises(Unavailable) as refused:
            lists.current()
        told.append(len(logged))
        assert refused.value.reason == "REVOCATION_LIST_EXPIRED"
    assert told == [2, 0]  # once, and not at each try
    put(path, second.public_bytes(Encoding.DER))
    assert len(lists.current()) == 2


def test_a_server_does_not_start_without_the_lists_it_was_told_of(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RevocationLists([tmp_path / "missing.crl"])
    put(tmp_path / "wrong.crl", b"no list")
    with pytest.raises(ValueError, match="parsing"):
        RevocationLists([tmp_path / "wrong.crl"])
