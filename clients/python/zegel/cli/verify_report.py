"""``zegel verify``: what the command does, and its report for people.

The exit status is 0 for a valid file and 1 for any other, whatever the reason, so that a script gets a yes or a no.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from zegel._internal.reading import UnreadableError, read_regular
from zegel.cli.console import make_console
from zegel.evidence.sealed_file.reading import MAX_FILE_BYTES
from zegel.evidence.transparency import TransparencyError, VerifierKey
from zegel.evidence.verification._verify import verify_pdf
from zegel.evidence.verification.report import Report

VALID, INVALID = 0, 1
"""Exit statuses."""

PROOF_SUFFIX = ".tlog-proof"
"""The name of a detached proof: that of its file, with this instead of ``.pdf``."""

MAX_KEYS_BYTES = 1 << 16
"""Maximum size of a file of verifier keys: the longest key is 2.7 KB, and a log has only a few."""

MAX_ROOTS_BYTES = 1 << 21
"""Maximum size of a file of root certificates: an operating system's whole list is about 250 KB."""

MAX_PROOF_BYTES = 1 << 21
"""Maximum size of a detached proof: a checkpoint of up to a megabyte, 63 hashes, and a leaf."""

_TITLES = {
    "structure": "File",
    "document_timestamp": "Last timestamp",
    "seal": "Seal",
    "audit_trail": "Audit trail",
    "rendition": "What was signed",
    "seal_certificate": "Seal named before",
    "detached_proof": "Proof beside it",
}


class InputError(UnreadableError):
    """An argument cannot be used; the message says which and why."""


def verify_command(
    path: Path,
    log_key: Sequence[Path],
    trust: Sequence[Path],
    proof: Path | None = None,
    *,
    timestamp_trust: Sequence[Path] = (),
    seal_pins: Sequence[str] = (),
    as_json: bool = False,
    use_proof: bool = True,
    witnesses: Sequence[VerifierKey] = (),
    witnesses_needed: int = 0,
) -> int:
    """Verify a file and print the report to standard output.

    Args:
        path: The sealed PDF.
        log_key: Files with verifier keys (C2SP ``signed-note``), one per line.
        trust: Files with root certificates to trust for the seal, PEM or DER.
        proof: The detached proof. Defaults to ``<name>.tlog-proof`` in the same folder, if it exists.
        timestamp_trust: The same for timestamps. Defaults to ``trust``.
        seal_pins: SHA-256 of certificates, in hexadecimal. One of them must have made the seal.
        as_json: Print one JSON object (``Report.as_dict`` with ``file`` and, if a file could not be read, ``error``).
        use_proof: ``False`` ignores a detached proof (``--no-proof``).
        witnesses: Verifier keys of witnesses.
        witnesses_needed: How many of them must have cosigned.

    Returns:
        The exit status: 0 if every check passes, 1 otherwise.
    """
    try:
        found = _proof_of(path, proof) if use_proof else None
        report = _verify(
            path,
            log_key,
            trust,
            found,
            timestamp_trust=timestamp_trust,
            seal_pins=[_pin(each) for each in seal_pins],
            witnesses=[str(each) for each in witnesses],
            witnesses_needed=witnesses_needed,
        )
    except UnreadableError as error:
        if as_json:
            print(json.dumps({"valid": False, "file": str(path), "error": str(error), "checks": []}))
        else:
            print(f"zegel verify: {error}", file=sys.stderr)
        return INVALID
    if as_json:
        print(json.dumps({"file": str(path), **report.as_dict()}, indent=2))
    else:
        print_report(report, path.name)
    return VALID if report.ok else INVALID


def _proof_of(path: Path, proof: Path | None) -> Path | None:
    beside = path.with_suffix(PROOF_SUFFIX)
    return proof or (beside if beside.exists() else None)


def _verify(
    path: Path,
    log_key: Sequence[Path],
    trust: Sequence[Path],
    proof: Path | None,
    *,
    timestamp_trust: Sequence[Path],
    seal_pins: Sequence[str],
    witnesses: Sequence[str],
    witnesses_needed: int,
) -> Report:
    texts = [read_regular(file, MAX_KEYS_BYTES, "a file of log keys") for file in log_key]
    keys = [line for text in texts for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    roots, clocks = (
        [read_regular(file, MAX_ROOTS_BYTES, "a file of roots") for file in files] for files in (trust, timestamp_trust)
    )
    if not keys:
        raise InputError("no log key was given: without one, nobody vouches for the audit trail")
    if not roots:
        raise InputError("no root certificate was given: without one, anybody could have made the seal")
    pdf = read_regular(path, MAX_FILE_BYTES, "a sealed file")
    detached = read_regular(proof, MAX_PROOF_BYTES, "a proof") if proof else None
    try:
        return verify_pdf(
            pdf,
            keys,
            roots,
            detached,
            timestamp_roots=clocks,
            seal_pins=seal_pins,
            witness_vkeys=witnesses,
            witnesses_needed=witnesses_needed,
        )
    except TransparencyError as error:
        raise InputError(f"the log key cannot be used: {error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InputError("a trusted root is neither a PEM nor a DER certificate") from error


def _pin(text: str) -> str:
    """Normalises a pin as tools print it (OpenSSL: capitals, with colons)."""
    pin = text.strip().replace(":", "").lower()
    if not re.fullmatch("[0-9a-f]{64}", pin):
        raise InputError("a pin is the SHA-256 of a certificate: 64 hexadecimal digits")
    return pin


def print_report(report: Report, name: str, console: Console | None = None) -> None:
    """Print a report for a person.

    Args:
        report: The report.
        name: The file's name.
        console: Where to print; default: standard output. Coloured only on a terminal.
    """
    console = console or make_console()
    verdict = Text("VALID", "bold green") if report.ok else Text("NOT VALID", "bold red")
    console.print(Text.assemble(verdict, "  ", (name, "bold")))
    console.print(Padding(_checks(report), (1, 0, 1, 2), expand=False))
    for warning in report.warnings:
        console.print(Padding(Text.assemble(("Note: ", "bold yellow"), warning), (0, 0, 1, 2), expand=False))
    if not report.ok:
        console.print("  Do not rely on this file: what it says about itself is not proved.")
        return
    console.print(Padding(_facts(report), (0, 0, 1, 2), expand=False))
    console.print(Padding(_events(report), (0, 0, 0, 2), expand=False))


_ASSERTED = {"address": "address", "time_zone": "time zone", "user_agent": "program"}


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    return grid


def _checks(report: Report) -> Table:
    grid = _grid()
    for check in report.checks:
        mark = Text("ok", "green") if check.ok else Text("FAILED", "bold red")
        grid.add_row(mark, _TITLES.get(check.name, check.name), Text(check.detail))
    return grid


def _facts(report: Report) -> Table:
    facts, grid = report.facts, Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    grid.add_row("Audit ID", Text(facts.audit_id))
    grid.add_row("Log", Text(facts.log))
    grid.add_row("Sealed by", Text(facts.sealed_by))
    if facts.sealed_at:
        grid.add_row("Sealed at", Text(f"{facts.sealed_at:%Y-%m-%d %H:%M:%S} UTC"))
    grid.add_row("Certificate", Text(f"SHA-256 {facts.seal_certificate}"))
    if facts.sealed_at and facts.last_event_at:
        waited = (facts.sealed_at - facts.last_event_at).total_seconds()
        grid.add_row("Sealed after", Text(f"{waited:,.0f} seconds from the trail's last event"))
    grid.add_row("Clock", Text(facts.timestamped_by))
    for document in facts.documents:
        what = {"original": "Document", "rendition": "As it was shown"}.get(document.content, document.content)
        grid.add_row(what, Text(f"{document.name}, version {document.version}\nSHA-256 {document.sha256}"))
    for day in facts.days:
        grid.add_row("Day of signing", Text(f"of {day.signature}, on page {day.page}, is in {day.time_zone or 'UTC'}"))
    return grid


def _events(report: Report) -> Table:
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    grid.add_column("Event", justify="right", no_wrap=True)
    grid.add_column("Time (UTC)", no_wrap=True)
    grid.add_column("What happened", overflow="fold")
    grid.add_column("By", overflow="fold")
    for event in report.facts.events:
        what = event.type.lower().replace("_", " ")
        if event.disclosure:
            what += f", version {event.disclosure}"
        if event.asserted:
            names = ", ".join(_ASSERTED[name] for name in event.asserted)
            what += f"\n(asserted by the caller: the signer's {names})"
        who = f"{event.actor_kind} {event.actor}".strip()
        grid.add_row(str(event.sequence), f"{event.time:%Y-%m-%d %H:%M:%S}", Text(what), Text(who))
    return grid
