"""The log has one key and one name, from the first start on, and nobody else can read it."""

import concurrent.futures
import stat
from pathlib import Path

import pytest

from zegel.evidence.transparency import EMPTY_ROOT, open_checkpoint
from zegel_server.audit.log_key import DEFAULT_ORIGIN, LogKey, LogKeyError


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    key = LogKey.open(tmp_path)
    assert key.origin == DEFAULT_ORIGIN
    assert stat.S_IMODE((tmp_path / "log.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["log.key"]
    again = LogKey.open(tmp_path)
    assert again.verifier == key.verifier
    assert again.checkpoint(0, EMPTY_ROOT) == key.checkpoint(0, EMPTY_ROOT)


def test_it_signs_what_its_verifier_key_verifies(tmp_path: Path) -> None:
    key = LogKey.open(tmp_path, "log.example.com/zegel")
    head = open_checkpoint(key.checkpoint(7, bytes(32)), [key.verifier])
    assert (head.origin, head.size, head.root) == ("log.example.com/zegel", 7, bytes(32))


def test_the_logs_name_cannot_change(tmp_path: Path) -> None:
    LogKey.open(tmp_path, "log.example.com/zegel")
    assert LogKey.open(tmp_path).origin == "log.example.com/zegel"
    assert LogKey.open(tmp_path, "log.example.com/zegel").origin == "log.example.com/zegel"
    with pytest.raises(LogKeyError, match="cannot change"):
        LogKey.open(tmp_path, "log.example.com/other")


@pytest.mark.parametrize("name", ["two words", "a+b", "line\nbreak"])
def test_a_name_that_no_checkpoint_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LogKeyError, match="without spaces or plus signs"):
        LogKey.open(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    LogKey.open(tmp_path)
    (tmp_path / "log.key").chmod(mode)
    with pytest.raises(LogKeyError, match="chmod 600"):
        LogKey.open(tmp_path)


def test_a_damaged_file_is_not_used_and_not_replaced(tmp_path: Path) -> None:
    LogKey.open(tmp_path)
    path = tmp_path / "log.key"
    good = path.read_text()
    name, _, secret = good.strip().rpartition("+")
    for damaged in (
        "",
        "\n",
        good[:-8],
        good + "x\n",
        name + "+AQ==",
        name[:-1] + ("1+" if name.endswith("0") else "0+") + secret,
        good.replace("PR", "pr"),
    ):
        path.write_text(damaged)
        with pytest.raises(LogKeyError) as refused:
            LogKey.open(tmp_path)
        assert secret[:20] not in str(refused.value)
        assert path.read_text() == damaged


def test_no_secret_shows(tmp_path: Path) -> None:
    key = LogKey.open(tmp_path)
    secret = (tmp_path / "log.key").read_text().strip().rpartition("+")[2]
    assert secret[:12] not in repr(key)
    assert key.signers[0].seed.hex()[:12] not in repr(key)


def test_of_many_that_start_at_once_all_have_the_same_key(tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: LogKey.open(tmp_path), range(32)))
    assert len({key.verifier for key in keys}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["log.key"]
