"""Kills a server at random while documents are sent to it and fetched from it, and counts what is lost: nothing.

Run: ``python tests/faults/document_kills.py --count 1000 --seed 1``. It tells on standard error how far it is, prints
one line of JSON at its end, and exits 1 where a byte was lost that had been acknowledged, a document came out with
another SHA-256, or something is left that nobody names.

An interrupt (``SIGINT``, ``SIGTERM``) ends the killing. What was done until then is checked and told all the same, with
``interrupted`` and the exit status 3 where nothing was amiss. A second one leaves out fetching each document once more;
the scrub still reads every one.

Senders send documents message by message, and note how much the server says is stored; others use the SDK,
client-encrypted and not, which goes on by itself. Readers fetch what was finished, again and again, and check it.
Meanwhile the server is killed (``SIGKILL``) after a random time, and started again.
"""

import argparse
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]

import zegel
from support.flow import Office, Uploading, big_pdf, chunks, end_of, open_office, until
from support.server import ServerProcess, rows, sqlite_server
from zegel.document.v1.document_service_pb2 import UploadDocumentRequest, UploadSpec
from zegel_server.documents.parts import part_count, part_key
from zegel_server.documents.removal import DELETE_BLOBS

SIZES = (2_000, 700_000, 5 << 20, 9 << 20, 14 << 20)
PATIENCE_S = 180.0
"""How long a step is tried: several starts of the server on a loaded machine are in it."""
LONGEST_S = 1.2
"""Within which the server is killed after somebody heard of it."""
HEARD_S = 20.0
"""How long that may take: clients try to connect at growing pauses."""
PROGRESS_S = 10.0
"""How often it is told how far it is."""
INTERRUPTED = 3
"""Exit status where it was interrupted and nothing was amiss until then."""
TWO_DAYS_S = 2 * 24 * 3600

_T = TypeVar("_T")


@dataclass
class Tally:
    """What happened.

    Attributes:
        finished: SHA-256 of each document that was acknowledged as finished.
        lost: Bytes that were acknowledged and then were not there.
        damaged: Documents that came out otherwise than they went in.
        given_up: Documents for which ``PATIENCE_S`` was too short between the kills: on a busy machine, the large ones.
        problems: Whatever else went wrong.
        interrupts: How often it was asked to come to its end.
        fetched: Documents that were fetched once more in the end.
        told: When it was told last how far it is.
    """

    planned: int = 0
    kills: int = 0
    uploads: int = 0
    resumes: int = 0
    downloads: int = 0
    lost: int = 0
    damaged: int = 0
    given_up: int = 0
    interrupts: int = 0
    fetched: int = 0
    every_s: float = PROGRESS_S
    began: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)
    finished: dict[str, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    heard: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **counts: int) -> None:
        with self.lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def figures(self) -> dict[str, Any]:
        """What happened so far."""
        return {
            "kills": self.kills,
            "planned": self.planned,
            "interrupted": bool(self.interrupts),
            "uploads": self.uploads,
            "resumes": self.resumes,
            "downloads": self.downloads,
            "fetched_again": self.fetched,
            "given_up": self.given_up,
            "acknowledged_bytes_lost": self.lost,
            "sha256_failures": self.damaged,
            "seconds": round(time.monotonic() - self.began, 1),
        }

    def tell(self) -> None:
        """Tells on standard error how far it is, now and then."""
        if time.monotonic() - self.told >= self.every_s:
            self.told = time.monotonic()
            print(json.dumps({**self.figures(), "problems": len(self.problems)}), file=sys.stderr, flush=True)  # noqa: T201

    @property
    def ok(self) -> bool:
        return not (self.lost or self.damaged or self.problems)


def insist(tally: Tally, call: Callable[[], _T]) -> _T:
    """Repeats a call for as long as the server is away."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            answer = call()
            tally.heard.set()
            return answer  # noqa: TRY300 - what comes before it may not raise
        except zegel.ZegelError as error:
            if (error.reason and not isinstance(error, zegel.Unavailable)) or time.monotonic() > until:
                raise
            time.sleep(0.05)


def send_by_hand(office: Office, tally: Tally, data: bytes, name: str) -> str:
    """Sends a document, noting at each break what the server has; returns its identifier."""
    documents = office.sender.documents
    spec = UploadSpec(title="Lease", size=len(data))
    upload = insist(tally, lambda: documents.start_upload(spec=spec, request_id=name).upload)
    stored = 0
    uploading = Uploading(office)
    while True:
        head = UploadDocumentRequest(upload_id=upload.upload_id)
        end = UploadDocumentRequest(finish=end_of(data))
        with contextlib.suppress(zegel.ZegelError):
            answer = uploading(head, *chunks(data, stored), end)
            return answer.document.document_id
        now = insist(tally, lambda: documents.get_upload(upload_id=upload.upload_id).upload.persisted_size)
        tally.add(resumes=1, lost=max(0, stored - now))
        stored = now


def send_with_sdk(office: Office, tally: Tally, data: bytes, *, client_encrypted: bool) -> str:
    """Sends a document as a partner does."""
    return insist(
        tally, lambda: office.sender.documents.upload(data, title="Lease", client_encrypted=client_encrypted)
    ).document_id


def sender(office: Office, tally: Tally, pool: list[bytes], number: int, seed: int) -> None:
    """Sends documents until it is over."""
    dice = Random(f"{seed}/sender/{number}")  # noqa: S311 - repeatable, not secret
    count = 0
    while not tally.over.is_set():
        data = dice.choice(pool)
        count += 1
        try:
            if number % 2:
                document_id = send_with_sdk(office, tally, data, client_encrypted=bool(dice.getrandbits(1)))
            else:
                document_id = send_by_hand(office, tally, data, f"{number}-{count}")
        except zegel.Unavailable:
            tally.add(given_up=1)
            continue
        except (zegel.ZegelError, OSError) as error:
            tally.problems.append(f"a sender: {error!r}")
            continue
        tally.add(uploads=1)
        tally.finished[document_id] = hashlib.sha256(data).digest()


def reader(office: Office, tally: Tally, number: int, seed: int) -> None:
    """Fetches what is there until it is over."""
    dice = Random(f"{seed}/reader/{number}")  # noqa: S311 - repeatable, not secret
    while not tally.over.is_set():
        known = list(tally.finished)
        if not known:
            time.sleep(0.05)
            continue
        fetch(office, tally, dice.choice(known), client_encrypted=bool(number % 2))


def fetch(office: Office, tally: Tally, document_id: str, *, client_encrypted: bool, killed: bool = True) -> None:
    """Fetches one document and what signers are shown of it; of a server that is not killed any more, it must come."""
    try:
        data = insist(tally, lambda: office.sender.documents.download(document_id, client_encrypted=client_encrypted))
        insist(
            tally,
            lambda: office.sender.documents.download(
                document_id, client_encrypted=client_encrypted, content="rendition"
            ),
        )
    except zegel.DataLoss:
        tally.add(damaged=1)
        return
    except zegel.ZegelError as error:
        if killed and isinstance(error, zegel.Unavailable):
            tally.add(given_up=1)
        else:
            tally.problems.append(f"a reader: {error!r}")
        return
    right = hashlib.sha256(data).digest() == tally.finished[document_id]
    tally.add(downloads=1, damaged=not right)


@contextlib.contextmanager
def working(office: Office, tally: Tally, seed: int) -> Iterator[None]:
    """Senders and readers for a while."""
    pool = [big_pdf(size) for size in SIZES]
    threads = [threading.Thread(target=sender, args=(office, tally, pool, number, seed)) for number in range(4)]
    threads += [threading.Thread(target=reader, args=(office, tally, number, seed)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        tally.over.set()
        for thread in threads:
            thread.join()


def kill(server: ServerProcess, tally: Tally, seed: int) -> None:
    """Kills the server as many times as planned, or until it is interrupted."""
    dice = Random(f"{seed}/killer")  # noqa: S311 - repeatable, not secret
    while tally.kills < tally.planned and not tally.interrupts:
        tally.heard.clear()
        tally.heard.wait(HEARD_S)
        time.sleep(dice.uniform(0.0, LONGEST_S))
        server.kill()
        tally.add(kills=1)
        server.start()
        tally.tell()


def command(server: ServerProcess, *arguments: str) -> list[dict[str, Any]]:
    """Runs a command of the operator's."""
    program = str(Path(sys.executable).parent / "zegel-server")
    ran = subprocess.run(
        [program, *arguments, "--development", "--data-dir", str(server.data)],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # an interrupt of ours is none of its
    )
    if ran.returncode not in {0, 1}:
        raise AssertionError(ran.stderr[-2000:])
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]


def tidy(server: ServerProcess) -> dict[str, int]:
    """What the operator does after it: orphans removed, everything scrubbed; and what is left then."""
    for name in server.blobs():  # as if two days had passed
        path = server.data / "blobs" / name
        before = time.time() - TWO_DAYS_S
        with contextlib.suppress(FileNotFoundError):
            os.utime(path, (before, before))
    (removed,) = command(server, "blobs", "orphans", "--remove")
    *_, scrubbed = command(server, "blobs", "scrub")
    named = {
        part_key(prefix, part)
        for query in (
            "SELECT blob_prefix, size FROM document_versions",
            "SELECT rendition_prefix, rendition_size FROM document_versions",
        )
        for prefix, size in rows(server.rows_url, query)
        for part in range(part_count(size))
    }
    found = {name for name in server.blobs() if not name.startswith(".incoming")}
    return {
        "orphans_removed": removed["removed"],
        "scrubbed": scrubbed["checked"],
        "damaged": scrubbed["damaged"],
        "orphans": len(found - named),
        "missing": len(named - found),
    }


def _removed(server: ServerProcess) -> bool | None:
    """True once no folder of blobs waits to be removed."""
    query = f"SELECT last_reason FROM jobs WHERE kind = '{DELETE_BLOBS}'"  # noqa: S608 - our own
    return None if rows(server.rows_url, query) else True


def campaign(count: int, seed: int, tally: Tally | None = None) -> tuple[Tally, dict[str, Any]]:
    """A whole campaign on a server of its own.

    Returns:
        What happened, and the figures.
    """
    tally = tally or Tally()
    tally.planned = count
    with sqlite_server() as server, open_office(server) as office:
        with working(office, tally, seed):
            kill(server, tally, seed)
        for document_id in tally.finished:
            if tally.interrupts > 1:
                break
            fetch(office, tally, document_id, client_encrypted=False, killed=False)
            tally.add(fetched=1)
            tally.tell()
        # What was begun and never finished: a partner that gives up, or a week that passes.
        for (upload_id,) in rows(server.rows_url, "SELECT upload_id FROM uploads WHERE state = 'OPEN'"):
            office.owner.documents.cancel_upload(upload_id=upload_id)
        until(lambda: _removed(server), "the removal of what was given up")
        left = tidy(server)
        tally.problems += [f"a defect: {each['trace']}" for each in server.defects()]
    return tally, {**tally.figures(), "seed": seed, **left, "problems": tally.problems[:5]}


def main() -> int:
    """Runs it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10, help="kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--progress", type=float, default=PROGRESS_S, help="seconds between two lines of progress")
    given = parser.parse_args()
    tally = Tally(every_s=given.progress)

    def interrupt(*_: object) -> None:
        tally.interrupts += 1

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, interrupt)
    tally, figures = campaign(given.count, given.seed, tally)
    print(json.dumps(figures), flush=True)  # noqa: T201 - its outcome
    if not tally.ok or figures["damaged"] or figures["orphans"] or figures["missing"]:
        return 1
    return INTERRUPTED if tally.kills < tally.planned or tally.interrupts > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
