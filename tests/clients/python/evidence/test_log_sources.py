"""A log behind a real web server: what is cut, slow, missing or led elsewhere is told, and never taken for the log."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.merkle_log import KEY, MadeLog, make_trail
from zegel.cli import audit as audit_cli
from zegel.cli.commands import app
from zegel.evidence.log_sources import MAX_FILE_BYTES, FolderSource, WebSource
from zegel.evidence.mirror import Follower, LogRewritten, MissingFile, verify_log
from zegel.evidence.transparency import InvalidTile

KEYS = [KEY.verifier]


class _Handler(http.server.SimpleHTTPRequestHandler):
    web: "Web"

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self.web.asked.append(self.path)
        what = self.web.instead.get(self.path.removeprefix("/"))
        if what is None:
            super().do_GET()
        else:
            getattr(self, what)()

    def cut(self) -> None:
        data = (self.web.folder / self.path.removeprefix("/")).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])
        self.close_connection = True

    def drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.web.closing.wait(0.02):
            try:
                self.wfile.write(b".")
            except OSError:
                return

    def silent(self) -> None:
        self.web.closing.wait()

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(2 + MAX_FILE_BYTES // 1_000_000):
                self.wfile.write(b"x" * 1_000_000)
        except OSError:
            return

    def garbage(self) -> None:
        self.wfile.write(b"this is no HTTP\r\n\r\n")

    def fails(self) -> None:
        self.send_error(503)

    def leads_to_a_file(self) -> None:
        self.send_response(302)
        self.send_header("Location", f"file://{self.web.folder}/checkpoint")
        self.end_headers()

    def leads_in_circles(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.path)
        self.end_headers()

    def leads_elsewhere(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/moved" + self.path)
        self.end_headers()


class Web:
    """Python's static web server over a folder, which a test may make misbehave.

    Attributes:
        instead: What to do for a path in place of serving the file.
        closing: Set at the end; until then, what is silent or drips goes on.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.instead: dict[str, str] = {}
        self.closing = threading.Event()
        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(type("_", (_Handler,), {"web": self}), directory=str(folder))
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def put(self, log: MadeLog, *, size: int | None = None) -> None:
        """What a publisher leaves: full tiles in the place of partial ones, and the checkpoint last."""
        for name, data in sorted(log.files().items(), reverse=True):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            if ".p/" not in name:
                shutil.rmtree(self.folder / f"{name}.p", ignore_errors=True)
        if size is not None:
            (self.folder / "checkpoint").write_bytes(log.checkpoint(size))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    (tmp_path / "served").mkdir()
    made = Web(tmp_path / "served")
    yield made
    made.close()


def grown(*sizes: int, salt: bytes = b"") -> MadeLog:
    log = MadeLog()
    trail = make_trail(sizes[-1], trail="aud_" + (salt.decode() or "1"))
    for size in sizes:
        log.add(*trail[log.size : size])
    return log


def test_partial_tiles_may_vanish_once_they_are_full(web: Web) -> None:
    """A checkpoint was read, then the log grew: its partial tiles are gone, and the full ones have what it covers."""
    log = grown(300, 700)
    web.put(log, size=300)
    assert not (web.folder / "tile/0/001.p").exists()
    (web.folder / "tile/1").rename(web.folder / "later")
    early = grown(300)
    path = web.folder / "tile/1/000.p/1"
    path.parent.mkdir(parents=True)
    path.write_bytes(early.files()["tile/1/000.p/1"])
    assert verify_log(WebSource(web.url), KEYS).size == 300
    assert "/tile/entries/001.p/44" in web.asked
    assert "/tile/entries/001" in web.asked


@pytest.mark.parametrize("name", ["checkpoint", "tile/entries/000", "tile/0/001.p/44", "tile/1/000.p/1"])
def test_a_missing_file_is_named(web: Web, name: str) -> None:
    web.put(grown(300))
    (web.folder / name).unlink()
    with pytest.raises(MissingFile, match="checkpoint" if name == "checkpoint" else name):
        verify_log(WebSource(web.url), KEYS)


@pytest.mark.parametrize("name", ["checkpoint", "tile/entries/000", "tile/0/000", "tile/0/002.p/188"])
@pytest.mark.parametrize("what", ["cut", "drip", "silent", "garbage", "fails", "leads_to_a_file", "leads_in_circles"])
def test_a_server_that_does_not_serve_is_an_error_of_its_own(web: Web, name: str, what: str) -> None:
    """Neither a damaged log nor a rewritten one: there is no answer, and nothing was learned."""
    web.put(grown(300))
    source = WebSource(web.url, timeout_s=0.5, whole_s=1.0)
    follower = Follower(KEYS)
    follower.follow(source)
    known = follower.save()
    web.put(grown(300, 700))
    web.instead = {name: what}
    with pytest.raises(OSError, match=web.url):  # what never ends is given up
        Follower.load(known, KEYS).follow(source) if "000" not in name else verify_log(source, KEYS)
    web.instead = {}
    assert Follower.load(known, KEYS).follow(source).size == 700


def test_a_file_without_end_is_refused(web: Web) -> None:
    web.put(grown(3))
    web.instead = {"tile/0/000.p/3": "endless"}
    with pytest.raises(InvalidTile, match="too long"):
        verify_log(WebSource(web.url), KEYS)


def test_a_redirect_within_the_scheme_is_followed(web: Web) -> None:
    web.put(grown(3))
    (web.folder / "moved").mkdir()
    (web.folder / "checkpoint").rename(web.folder / "moved/checkpoint")
    web.instead = {"checkpoint": "leads_elsewhere"}
    assert verify_log(WebSource(web.url), KEYS).size == 3


def test_a_folder_s_file_is_bounded_too(tmp_path: Path) -> None:
    with (tmp_path / "checkpoint").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(InvalidTile, match="too long"):
        FolderSource(tmp_path).get("checkpoint")


# ------------------------------------------------------------------------------------------------------------- monitor


def monitor(web: Web, state: Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["audit", "monitor", web.url, "--log-key", str(KEY.verifier), "--state", str(state)])
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (grown(200), "had 300 entries and now shows a signed checkpoint of 200"),  # set back
        (grown(300, salt=b"other"), "two different trees of 300"),
        (grown(300, 700, salt=b"other"), "do not continue the 300 known"),
    ],
    ids=["rollback", "fork", "rewrite"],
)
def test_a_monitor_is_loud_over_http_and_keeps_what_it_knew(
    web: Web, tmp_path: Path, shown: MadeLog, told: str
) -> None:
    web.put(grown(300))
    state = tmp_path / "state"
    assert monitor(web, state)[0] == 0
    remembered = state.read_bytes()
    shutil.rmtree(web.folder / "tile")
    web.put(shown)
    for _ in range(2):
        status, said = monitor(web, state)
        assert (status, told in " ".join(said.split())) == (audit_cli.REWRITTEN, True), said
        assert state.read_bytes() == remembered
    assert (tmp_path / "state.evidence").read_bytes() == grown(300).checkpoint() + b"\n" + shown.checkpoint()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["served", "state", "state.evidence"]


def test_a_monitor_that_gets_no_answer_learns_nothing(web: Web, tmp_path: Path) -> None:
    web.put(grown(300))
    state = tmp_path / "state"
    assert monitor(web, state)[0] == 0
    remembered = state.read_bytes()
    web.put(grown(300, 700))
    web.instead = {"tile/entries/001": "cut"}
    status, said = monitor(web, state)
    assert (status, "cut short" in " ".join(said.split())) == (audit_cli.FAILED, True)
    assert state.read_bytes() == remembered
    with pytest.raises(LogRewritten):
        Follower.load(remembered, KEYS).follow(_forked(web))


def _forked(web: Web) -> FolderSource:
    shutil.rmtree(web.folder / "tile")
    web.put(grown(301, salt=b"other"))
    return FolderSource(web.folder)
