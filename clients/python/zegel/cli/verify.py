"""``zegel verify``: its options. What it does is in :mod:`zegel.cli.verify_report`."""

from pathlib import Path
from typing import Annotated

import typer

from zegel.cli import audit as audit_cli
from zegel.evidence.transparency import TransparencyError


def register(app: typer.Typer) -> None:
    """Add the command to the command line.

    Args:
        app: The command line.
    """
    app.command("verify")(verify)


def verify(
    file: Annotated[Path, typer.Argument(help="The sealed PDF.")],
    *,
    log_key: Annotated[list[Path], typer.Option(help="File with the log's verifier key; may be repeated.")],
    trust: Annotated[list[Path], typer.Option(help="Root to trust for the seal, PEM or DER; may be repeated.")],
    timestamp_trust: Annotated[
        list[Path] | None,
        typer.Option(help="Root to trust for timestamps; may be repeated. Default: those of --trust."),
    ] = None,
    seal_pin: Annotated[
        list[str] | None,
        typer.Option(help="SHA-256 of the certificate that must have made the seal; may be repeated. Default: any."),
    ] = None,
    proof: Annotated[
        Path | None, typer.Option(help="The detached proof. Default: <name>.tlog-proof, if present.")
    ] = None,
    no_proof: Annotated[bool, typer.Option("--no-proof", help="Do not use a detached proof.")] = False,
    witness: audit_cli.WitnessKey = None,
    witnesses_needed: audit_cli.WitnessesNeeded = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Verify a sealed file, offline. Exit status: 0 if it is valid, 1 if not."""
    from zegel.cli.verify_report import verify_command  # noqa: PLC0415 - the validator is slow to load

    if proof is not None and no_proof:
        raise typer.BadParameter("--proof and --no-proof are mutually exclusive")
    try:
        witnesses, needed = audit_cli.witnesses_of(witness, witnesses_needed)
    except (TransparencyError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--witness") from error
    status = verify_command(
        file,
        log_key,
        trust,
        proof,
        timestamp_trust=timestamp_trust or (),
        seal_pins=seal_pin or (),
        as_json=as_json,
        use_proof=not no_proof,
        witnesses=witnesses,
        witnesses_needed=needed,
    )
    raise typer.Exit(status)
