"""Files that a command is named: what is no regular file of that kind's size is refused at once, with a sentence."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support.require import need
from zegel._internal.reading import UnreadableError, read_regular


def refused(path: Path, most: int = 1 << 20) -> str:
    with pytest.raises(UnreadableError) as told:
        read_regular(path, most, "a proof")
    assert str(told.value).startswith(f"{path}: ")
    return str(told.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("size", [0, 1, 4096, 3 << 20])
def test_a_file_is_read_up_to_its_bound(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    assert read_regular(tmp_path / "file", size, "a proof") == data
    if size:
        assert refused(tmp_path / "file", size - 1).endswith("and so not a proof")


def test_a_link_to_a_file_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 4, "a proof") == b"data"


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


NO_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "a pipe, and no file"),
    "a directory": (Path.mkdir, "a directory, and no file"),
    "a socket": (make_socket, "a socket, and no file"),
    "a device without end": (lambda path: path.symlink_to("/dev/zero"), "a device, and no file"),
    "a terminal": (lambda path: path.symlink_to("/dev/tty"), "a device, and no file"),
    "a link to itself": (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    "nothing": (lambda _: None, "No such file or directory"),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, said = NO_FILES[kind]
    monkeypatch.chdir(tmp_path)  # a socket's path may have 100 characters
    make(Path("it"))
    assert refused(Path("it")) == said


def test_a_pipe_that_takes_a_files_place_is_refused_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "file", os.open
    path.write_bytes(b"data")

    def exchanged(name: Path, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return real(name, flags)

    monkeypatch.setattr(os, "open", exchanged)
    assert refused(path) == "a pipe, and no file"


def test_a_file_that_says_it_is_empty_is_bounded_all_the_same() -> None:
    """The kernel's own files are regular, of size 0, and may hold anything."""
    path = Path("/proc/self/smaps")
    need(path.exists(), "a system with /proc")
    assert path.stat().st_size == 0
    assert refused(path, 100) == "larger than 100 bytes, and so not a proof"


def test_a_file_that_grows_is_bounded_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    real, lock = os.fstat, threading.Lock()

    def then_grow(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        with lock, path.open("ab") as more:
            more.write(bytes(5000))
        return found

    monkeypatch.setattr(os, "fstat", then_grow)
    assert refused(path, 2048) == "larger than 2 KiB, and so not a proof"


def test_a_name_that_can_be_none_is_refused() -> None:
    assert refused(Path("a\0b")) == "cannot be read"
    assert refused(Path("x" * 5000)) == "File name too long"
