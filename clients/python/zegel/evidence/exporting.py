"""The evidence of one signature request in its own folder, to be kept and checked without the server or the log.

``audit.jsonl`` and ``completed.tlog-proof`` are as in a sealed file; ``checkpoint`` is the one in the proof;
``openings.json`` opens the commitments of the leaves; it is missing from an export out of the log's own files;
``signed.tlog-proof``, if the request was sealed, proves that the sealed file is in the log.

Invariants:

* Writing verifies nothing: the folder can be trusted only once ``check_export`` has found it good.
* Evidence that comes from the log's own files was checked along with the whole log.
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
    """The log has no event with this audit ID."""


@dataclass(frozen=True, slots=True)
class Export:
    """The evidence of a signature request.

    Args:
        audit_jsonl: All leaves in order, each followed by a newline.
        proof: Proof of the last leaf (tlog-proof).
        sealed_proof: Proof of the leaf that names the sealed file; it includes that leaf. Empty if there is none.
        openings: The openings of the leaves' commitments; empty if not available.
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
            folder: Where to; made if it is missing.

        Raises:
            TransparencyError: The proof is malformed.
            OSError: A file cannot be written.
        """
        files = self.files()
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            replace_durably(folder / name, data, MODE)


@dataclass(frozen=True, slots=True)
class CheckedExport:
    """Evidence in a folder that was found good: the trail, and what it says once opened if the openings are there."""

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
        The reports on the trail and on its openings, both good.

    Raises:
        TransparencyError: A check fails; the message says which.
        OSError: A file cannot be read.
    """
    proof = (folder / PROOF).read_bytes()
    report = check_trail((folder / TRAIL).read_bytes(), proof, logs, witnesses=witnesses, quorum=quorum)
    _demand(report.failures)
    if report.trail is None:
        raise InvalidTrail("the events belong to no signature request")
    if (folder / CHECKPOINT).read_bytes() != LogProof.parse(proof).checkpoint:
        raise InvalidTrail("the checkpoint is not the one in the proof")
    leaves = report.leaves
    if (folder / SEALED).exists():
        sealed = LogProof.parse((folder / SEALED).read_bytes())
        sealed.verify(sealed.extra, logs, witnesses, quorum)
        leaf = parse_leaf(sealed.extra)
        if leaf.trail != report.trail or leaf.type != SEALED_EVENT_TYPE:
            raise InvalidTrail(f"{SEALED} proves an event other than the sealing of this request")
        # The trail in a sealed file ends before that event.
        leaves = leaves if leaf in leaves else (*leaves, leaf)
    if not (folder / OPENINGS_NAME).exists():
        return CheckedExport(report, None)
    complete = any(each.type == SEALED_EVENT_TYPE for each in leaves)
    opened = check_openings(leaves, (folder / OPENINGS_NAME).read_bytes(), complete=complete)
    _demand(opened.failures)
    return CheckedExport(report, opened)


def _demand(failures: Sequence[Failure]) -> None:
    """Raise the first failure, if there is one."""
    for failure in failures:
        raise InvalidTrail(f"{failure.reason}, line {failure.line}" if failure.line else failure.reason)


@dataclass
class _Collector(Trails):
    """Collects, while a log is read, what a proof of one trail needs: 32 bytes for each entry, and the trail."""

    trail: str
    hashes: list[bytes] = field(default_factory=list)
    found: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, index: int, entry: bytes, hashed: bytes) -> None:
        """See ``Trails.add``; trails are checked by ``check_trail`` afterwards."""
        self.hashes.append(hashed)
        # Only entries that may belong to the trail are parsed, since a log is long.
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
    """Extract the evidence of a request from the log's own files, all of which are read and checked.

    Args:
        source: Where the log is.
        logs: Verifier keys of the log.
        audit_id: The audit ID.
        witnesses: Verifier keys of witnesses.
        quorum: How many of them must have cosigned the checkpoint.

    Raises:
        NoSuchTrail: The log has no event with this audit ID.
        TransparencyError: The log fails its check; see ``Follower.follow``.
        OSError: The log cannot be read.
    """
    collector = _Collector(audit_id)
    follower = Follower(logs, trails=collector, witnesses=witnesses, quorum=quorum)
    follower.follow(source)
    if not collector.found:
        raise NoSuchTrail("the log has no event with this audit ID")
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
    """Make the proof that a leaf is in a tree, from all leaves of the tree (RFC 6962, section 2.1.1).

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
