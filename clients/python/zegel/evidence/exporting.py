"""The evidence of one signature request in a folder of its own, to be kept and checked apart from server and log.

``audit.jsonl`` and ``completed.tlog-proof`` are as in a sealed file; ``checkpoint`` is what the proof stands on;
``openings.json`` opens the commitments of the leaves, where whoever exported had it: the log's own files do not;
``signed.tlog-proof``, where the request was sealed, proves that the log knows the sealed file.

Invariants:

* Writing believes nothing and proves nothing: what is in the folder is believed once ``check_export`` found it good.
* What is taken from the log's own files was checked with all of the log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from zegel._internal.files import replace_durably
from zegel.evidence.log_sources import Source
from zegel.evidence.mirror import Follower, InvalidTrail, Trails
from zegel.evidence.openings import OPENINGS_NAME, OpenedTrail, check_openings
from zegel.evidence.trail import (
    SEALED_EVENT_TYPE,
    Failure,
    InvalidLeaf,
    TrailReport,
    check_trail,
    parse_leaf,
)
from zegel.evidence.transparency import LogProof, TransparencyError, VerifierKey, node_hash

TRAIL: Final = "audit.jsonl"
PROOF: Final = "completed.tlog-proof"
SEALED: Final = "signed.tlog-proof"
CHECKPOINT: Final = "checkpoint"
MODE: Final = 0o644


class NoSuchTrail(TransparencyError):  # noqa: N818 - named after what is wrong
    """The log has no event of this audit ID."""


@dataclass(frozen=True, slots=True)
class Export:
    """The evidence of a signature request.

    Args:
        audit_jsonl: Each leaf, in order, and a newline after each.
        proof: Proof of the last leaf (tlog-proof).
        sealed_proof: Proof of the leaf that names the sealed file, which it carries; empty where there is none.
        openings: What opens the commitments of the leaves; empty where it is not at hand.
    """

    audit_jsonl: bytes
    proof: bytes
    sealed_proof: bytes = b""
    openings: bytes = b""

    def files(self) -> Mapping[str, bytes]:
        """Return the files by their names; raises as ``LogProof.parse``."""
        files = {TRAIL: self.audit_jsonl, PROOF: self.proof, CHECKPOINT: LogProof.parse(self.proof).checkpoint}
        more = {SEALED: self.sealed_proof, OPENINGS_NAME: self.openings}
        return files | {name: data for name, data in more.items() if data}

    def write(self, folder: Path) -> None:
        """Write the files.

        Args:
            folder: Where to; made where it is missing.

        Raises:
            TransparencyError: The proof is none.
            OSError: A file cannot be written.
        """
        files = self.files()
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            replace_durably(folder / name, data, MODE)


@dataclass(frozen=True, slots=True)
class CheckedExport:
    """Evidence in a folder that was found good: the trail, and what it says once opened, where that is at hand."""

    trail: TrailReport
    opened: OpenedTrail | None


def is_export(folder: Path) -> bool:
    """Whether a folder holds the evidence of one request, and not a log."""
    return (folder / TRAIL).is_file() and not (folder / "tile").exists()


def check_export(
    folder: Path, logs: Sequence[VerifierKey], witnesses: Sequence[VerifierKey] = (), quorum: int = 0
) -> CheckedExport:
    """Check the evidence in a folder, offline.

    Args:
        folder: What ``Export.write`` wrote.
        logs: Verifier keys of the logs that are trusted.
        witnesses: Verifier keys of witnesses.
        quorum: How many of them must have cosigned.

    Returns:
        The reports on the trail and on what opens it, which are good.

    Raises:
        TransparencyError: Something of it does not hold; the message says what.
        OSError: A file cannot be read.
    """
    proof = (folder / PROOF).read_bytes()
    report = check_trail((folder / TRAIL).read_bytes(), proof, logs, witnesses=witnesses, quorum=quorum)
    _demand(report.failures)
    if report.trail is None:
        raise InvalidTrail("the events are of no signature request")
    if (folder / CHECKPOINT).read_bytes() != LogProof.parse(proof).checkpoint:
        raise InvalidTrail("the checkpoint is not the one that the proof stands on")
    leaves = report.leaves
    if (folder / SEALED).exists():
        sealed = LogProof.parse((folder / SEALED).read_bytes())
        sealed.verify(sealed.extra, logs, witnesses, quorum)
        leaf = parse_leaf(sealed.extra)
        if leaf.trail != report.trail or leaf.type != SEALED_EVENT_TYPE:
            raise InvalidTrail(f"{SEALED} proves another event than the sealing of this request")
        # The trail in a sealed file ends before.
        leaves = leaves if leaf in leaves else (*leaves, leaf)
    if not (folder / OPENINGS_NAME).exists():
        return CheckedExport(report, None)
    complete = any(each.type == SEALED_EVENT_TYPE for each in leaves)
    opened = check_openings(leaves, (folder / OPENINGS_NAME).read_bytes(), complete=complete)
    _demand(opened.failures)
    return CheckedExport(report, opened)


def _demand(failures: Sequence[Failure]) -> None:
    """Raise the first failure; none is good."""
    for failure in failures:
        raise InvalidTrail(f"{failure.reason}, line {failure.line}" if failure.line else failure.reason)


@dataclass
class _Collector(Trails):
    """Gathers, while a log is read, what a proof of one trail takes: 32 bytes an entry, and the trail."""

    trail: str
    hashes: list[bytes] = field(default_factory=list)
    found: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, index: int, entry: bytes, hashed: bytes) -> None:
        """See ``Trails.add``; trails are checked by ``check_trail`` afterwards."""
        self.hashes.append(hashed)
        # Only what may be of the trail is parsed: a log is long.
        if self.trail.encode() in entry:
            try:
                leaf = parse_leaf(entry)
            except InvalidLeaf as error:
                raise InvalidTrail(f"entry {index} is no event") from error
            if leaf.trail == self.trail:
                self.found.append((index, entry))


def export_from_log(
    source: Source,
    logs: Sequence[VerifierKey],
    audit_id: str,
    witnesses: Sequence[VerifierKey] = (),
    quorum: int = 0,
) -> Export:
    """Find the evidence of a request in the log's own files, all of which are read and checked.

    Args:
        source: Where the log is.
        logs: Verifier keys of the log.
        audit_id: The audit ID.
        witnesses: Verifier keys of witnesses.
        quorum: How many of them must have cosigned the checkpoint.

    Raises:
        NoSuchTrail: The log has no event of it.
        TransparencyError: The log is not whole; see ``Follower.follow``.
        OSError: The log cannot be read.
    """
    collector = _Collector(audit_id)
    follower = Follower(logs, trails=collector, witnesses=witnesses, quorum=quorum)
    follower.follow(source)
    if not collector.found:
        raise NoSuchTrail("the log has no event of this audit ID")
    note = follower.checkpoint

    def prove(index: int, extra: bytes = b"") -> bytes:
        return LogProof(index, inclusion_proof(index, collector.hashes), note, extra).format()

    sealed = [each for each in collector.found if parse_leaf(each[1]).type == SEALED_EVENT_TYPE]
    return Export(
        b"".join(entry + b"\n" for _, entry in collector.found),
        prove(collector.found[-1][0]),
        prove(*sealed[-1]) if sealed else b"",
    )


def inclusion_proof(index: int, hashes: Sequence[bytes]) -> tuple[bytes, ...]:
    """Make the proof that a leaf is in a tree, from all of its leaves (RFC 6962, section 2.1.1).

    Args:
        index: Position of the leaf, from 0.
        hashes: The leaf hashes, of 32 bytes each.
    """
    proof: list[bytes] = []
    row = list(hashes)
    while len(row) > 1:
        if index ^ 1 < len(row):
            proof.append(row[index ^ 1])
        odd = row[-1:] if len(row) % 2 else []
        row = [node_hash(*pair) for pair in zip(row[::2], row[1::2], strict=False)] + odd
        index //= 2
    return tuple(proof)
