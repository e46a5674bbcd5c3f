"""``zegel witness``: creates a witness, and runs one, by default on the loopback interface."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console

from zegel.cli.audit import keys_of
from zegel.evidence.transparency import COSIGNATURE_ED25519, COSIGNATURE_MLDSA44, TransparencyError, VerifierKey
from zegel.evidence.witness import Memory, Witness, WitnessError, create_witness

FAILED: Final = 1
ALGORITHMS: Final[Mapping[str, int]] = {"ed25519": COSIGNATURE_ED25519, "ml-dsa-44": COSIGNATURE_MLDSA44}
"""The kinds of cosignature, by their names on the command line."""

_console = Console(highlight=False, soft_wrap=True)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command.

    Args:
        app: The command line.
    """
    app.command("witness")(witness)


def witness(
    folder: Annotated[Path, typer.Argument(help="The witness's folder: its keys and its state.")],
    *,
    init: Annotated[str, typer.Option(help="Create the folder for a new witness of this name, and exit.")] = "",
    algorithm: Annotated[
        list[str] | None, typer.Option(help="With --init: ed25519 or ml-dsa-44; default: both.")
    ] = None,
    log: Annotated[
        list[str] | None, typer.Option(help="Verifier key of a log to watch, or a file with it; may be repeated.")
    ] = None,
    listen: Annotated[str, typer.Option(help="Address to listen on; port 0 picks a free one.")] = "127.0.0.1:7380",
) -> None:
    """Cosign checkpoints that extend a log (C2SP tlog-witness), and refuse any that rewrite it."""
    from zegel.evidence.witness_http import serve  # noqa: PLC0415 - a web server is slow to load

    try:
        if init:
            kinds = [ALGORITHMS[each] for each in algorithm or ALGORITHMS]
            for key in create_witness(folder, init, kinds):
                _console.print(str(key), markup=False)
            return
        logs = logs_of(log or [])
        host, _, port = listen.rpartition(":")
        with Memory(folder) as memory:
            asked = Witness(memory, logs, told=_say)
            asyncio.run(serve(asked, host, int(port), _say))
    except KeyError as error:
        _fail(f"{error.args[0]} is not a kind of cosignature: {', '.join(ALGORITHMS)}")
    except (WitnessError, TransparencyError, ValueError, OSError) as error:
        _fail(str(error))


def logs_of(given: Sequence[str]) -> dict[str, list[VerifierKey]]:
    """Read which logs to watch. The name of a log's key is its origin.

    Args:
        given: Verifier keys, or files that hold one.

    Raises:
        WitnessError: None is given.
        InvalidKey: One is not a valid key.
        OSError: A file cannot be read.
    """
    if not given:
        raise WitnessError("no log to watch: give its verifier key with --log")
    logs: dict[str, list[VerifierKey]] = {}
    for key in keys_of(list(given)):
        logs.setdefault(key.name, []).append(key)
    return logs


def _say(text: str) -> None:
    _errors.print(f"zegel: {text}", markup=False)


def _fail(text: str) -> NoReturn:
    _say(text)
    raise typer.Exit(FAILED)
