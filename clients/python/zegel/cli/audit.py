"""``zegel audit verify`` and ``zegel audit monitor``: check and follow a log, using only its published files.

Exit status: 0 if everything is valid; 1 if the log cannot be read or fails a check; 3 if it has rewritten entries that
it showed before, which a log must never do.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from zegel._internal.files import replace_durably
from zegel.cli.console import make_console
from zegel.evidence.exporting import CheckedExport, check_export, is_export
from zegel.evidence.log_sources import Source, source_of
from zegel.evidence.mirror import Follower, LogRewritten, fetch_checkpoint, verify_log
from zegel.evidence.openings import OPENINGS_NAME
from zegel.evidence.transparency import Checkpoint, TransparencyError, VerifierKey
from zegel.evidence.witness_messages import check_witness_key

FAILED: Final = 1
REWRITTEN: Final = 3

Location = Annotated[str, typer.Argument(help="The log: a folder or a URL.")]
LogKey = Annotated[
    list[str], typer.Option("--log-key", help="The log's verifier key, or a file with it; may be repeated.")
]
WitnessKey = Annotated[
    list[str] | None,
    typer.Option("--witness", help="Verifier key of a witness, or a file with it; may be repeated."),
]
WitnessesNeeded = Annotated[
    int | None,
    typer.Option(min=0, help="How many of the witnesses must have cosigned; default: all."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

_console = make_console()
_errors = make_console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the commands to a group of the command line.

    Args:
        app: The group ``audit``.
    """
    app.command("verify")(verify)
    app.command("monitor")(monitor)


def verify(
    location: Location,
    *,
    log_key: LogKey,
    witness: WitnessKey = None,
    witnesses_needed: WitnessesNeeded = None,
    trails: Annotated[bool, typer.Option(help="Also check that the events of each trail are in sequence.")] = True,
    as_json: AsJson = False,
) -> None:
    """Check a whole log (every entry, tile and trail against its signed checkpoint), or exported evidence."""
    try:
        source, keys = source_of(location), keys_of(log_key)
        witnesses, quorum = witnesses_of(witness, witnesses_needed)
        if is_export(Path(location)):
            _tell_export(check_export(Path(location), keys, witnesses, quorum), as_json)
            return
        size = fetch_checkpoint(source, keys, witnesses, quorum)[0].size
        with _progress() as shown:
            task = shown.add_task("Checking", total=size)
            began = time.perf_counter()
            head = verify_log(
                source,
                keys,
                trails=trails,
                witnesses=witnesses,
                quorum=quorum,
                progress=lambda done: shown.update(task, completed=done),
            )
    except (TransparencyError, ValueError) as error:
        _fail(str(error), FAILED)
    _tell(head, f"The log is whole: {head.size:,} events, checked in {time.perf_counter() - began:.1f} s.", as_json)


def _tell_export(checked: CheckedExport, as_json: bool) -> None:
    report, opened = checked.trail, checked.opened
    head = report.checkpoint
    assert head is not None  # noqa: S101 - a valid report has one
    if as_json:
        facts = {"trail": report.trail, "events": len(report.leaves), "origin": head.origin, "size": head.size}
        documents = [] if opened is None else [asdict(each) for each in opened.documents]
        _console.print_json(json.dumps(facts | {"documents": documents}))
        return
    lines = [f"{report.trail}: {len(report.leaves)} events, unbroken, in the log {head.origin} of {head.size:,}."]
    if opened is None:
        lines.append(f"The documents they commit to are unknown: {OPENINGS_NAME} is not there.")
    else:
        lines += [
            f"{each.content.capitalize()} {each.document}, version {each.version}: {each.size:,} bytes, "
            f"SHA-256 {each.sha256}"
            for each in opened.documents
        ]
    _console.print("\n".join(lines), markup=False, soft_wrap=True)


def monitor(
    location: Location,
    *,
    log_key: LogKey,
    witness: WitnessKey = None,
    witnesses_needed: WitnessesNeeded = None,
    state: Annotated[Path, typer.Option(help="File that keeps what was seen of the log between checks.")],
    every: Annotated[float, typer.Option(min=0, help="Seconds between checks; 0 to check once and exit.")] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Follow a log: read new entries, and fail if entries that were seen before have changed."""
    try:
        source, keys = source_of(location), keys_of(log_key)
        witnesses, quorum = witnesses_of(witness, witnesses_needed)
    except (TransparencyError, ValueError) as error:
        _fail(str(error), FAILED)
    while True:
        try:
            head, added = look(source, keys, state, witnesses, quorum)
        except LogRewritten as error:
            evidence = state.with_name(state.name + ".evidence")
            replace_durably(evidence, error.known + b"\n" + error.shown, 0o644)
            _fail(f"{error}. Both signed checkpoints are in {evidence}: keep them, they are proof.", REWRITTEN)
        except (TransparencyError, OSError) as error:
            if not every:
                _fail(str(error), FAILED)
            # A web server may be back at the next check; a fault in the log is reported at each.
            _errors.print(f"zegel: {error}", markup=False)
        else:
            _tell(head, f"{head.size:,} events, {added:,} of them new; nothing before them has changed.", as_json)
        if not every:
            return
        time.sleep(every)


def look(
    source: Source, keys: list[VerifierKey], state: Path, witnesses: Sequence[VerifierKey] = (), quorum: int = 0
) -> tuple[Checkpoint, int]:
    """Check a log once, and save what was seen. It survives a crash once this returns.

    Args:
        source: Where the log is.
        keys: Its verifier keys.
        state: The file to save to; created if it does not exist.
        witnesses: Verifier keys of witnesses.
        quorum: How many of them must have cosigned what is shown.

    Returns:
        Its newest checkpoint, and how many events are new.

    Raises:
        LogRewritten: The log has rewritten entries seen before.
        TransparencyError: A file is missing or is not what the checkpoint commits to; or the state is damaged.
        OSError: The log or the state cannot be read or written.
    """
    follower = Follower.load(state.read_bytes(), keys) if state.exists() else Follower(keys)
    follower.witnesses, follower.quorum = witnesses, quorum
    before = follower.size
    head = follower.follow(source)
    replace_durably(state, follower.save(), 0o644)
    return head, head.size - before


def keys_of(given: list[str]) -> list[VerifierKey]:
    """Read verifier keys, each given directly or as a file with the key in its first line.

    Args:
        given: The keys or files.

    Raises:
        InvalidKey: One is not a valid key.
        OSError: A file cannot be read.
    """
    texts = [Path(each).read_text(encoding="utf-8").splitlines()[0] if Path(each).is_file() else each for each in given]
    return [VerifierKey.parse(each.strip()) for each in texts]


def witnesses_of(given: list[str] | None, needed: int | None) -> tuple[list[VerifierKey], int]:
    """Read which witnesses are trusted, and how many of them must have cosigned.

    Args:
        given: Their verifier keys, or files that hold one.
        needed: How many; ``None`` for all.

    Raises:
        InvalidKey: One is not a valid key, or not a witness's.
        ValueError: More are required than were given.
        OSError: A file cannot be read.
    """
    keys = keys_of(given or [])
    for key in keys:
        check_witness_key(key)
    names = len({key.name for key in keys})
    if needed is not None and needed > names:
        raise ValueError(f"{needed} witnesses are needed, and {names} named")
    return keys, names if needed is None else needed


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=_errors, transient=True, disable=not _errors.is_terminal)


def _tell(head: Checkpoint, text: str, as_json: bool) -> None:
    if as_json:
        _console.print_json(json.dumps({"origin": head.origin, "size": head.size, "root": head.root.hex()}))
    else:
        _console.print(f"{head.origin}: {text}", markup=False, soft_wrap=True)


def _fail(text: str, status: int) -> NoReturn:
    _errors.print(f"zegel: {text}", markup=False, soft_wrap=True)
    raise typer.Exit(status)
