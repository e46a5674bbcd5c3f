"""``zegel audit export``: writes the evidence of one signature request into a folder."""

from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console

from zegel._internal.reading import UnreadableError, read_regular
from zegel.cli import audit as audit_cli
from zegel.client import Client
from zegel.evidence.exporting import Export, export_from_log
from zegel.evidence.log_sources import source_of
from zegel.evidence.sealed_file.completion import FILES
from zegel.evidence.sealed_file.reading import MAX_FILE_BYTES, read_sealed_file
from zegel.evidence.sealed_file.syntax import FormError
from zegel.evidence.transparency import TransparencyError

FAILED: Final = 1

_console = Console(highlight=False, soft_wrap=True)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command to a group of the command line.

    Args:
        app: The group ``audit``.
    """
    app.command("export")(export)


def export(
    what: Annotated[str, typer.Argument(help="The audit ID, or a sealed PDF.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    log: Annotated[str, typer.Option(help="Get it from the log's published files: a folder or a URL.")] = "",
    log_key: Annotated[
        list[str] | None, typer.Option("--log-key", help="With --log: the log's verifier key, or a file with it.")
    ] = None,
    server: Annotated[str, typer.Option(envvar="ZEGEL_SERVER", help="Get it from a server, as host:port.")] = "",
    token: Annotated[str, typer.Option(envvar="ZEGEL_TOKEN", help="API key or session token for the server.")] = "",
    ca: Annotated[Path | None, typer.Option(envvar="ZEGEL_CA", help="PEM of the authority to trust.")] = None,
) -> None:
    """Write the evidence of a signature request into a folder, which ``zegel audit verify`` checks offline."""
    try:
        if Path(what).is_file():
            found = _from_pdf(Path(what))
        elif log:
            if not log_key:
                raise typer.BadParameter("--log needs --log-key", param_hint="--log")
            found = export_from_log(source_of(log), audit_cli.keys_of(log_key), what)
        elif server:
            with Client(server, token=token, root_certificates=ca) as client:
                answer = client.audit.get_transaction(audit_id=what)
            found = Export(answer.audit_jsonl, answer.proof, answer.sealed_proof, answer.openings)
        else:
            raise typer.BadParameter("not a file; to look up an audit ID, give --server or --log", param_hint="what")
        found.write(out)
    except (TransparencyError, ValueError) as error:
        _fail(str(error))
    names = ", ".join(sorted(found.files()))
    _console.print(f"{out}: {names}. Check it with: zegel audit verify {out} --log-key ...", markup=False)


def _from_pdf(file: Path) -> Export:
    """The evidence in a sealed file. Does not check that the file is valid; ``zegel verify`` does."""
    try:
        attached = read_sealed_file(read_regular(file, MAX_FILE_BYTES, "a sealed file")).completion.files
    except FormError as error:
        _fail(f"{file} is not a sealed file: {error}")
    except UnreadableError as error:
        _fail(str(error))
    trail, evidence_proof, openings = (attached[each.name] for each in FILES)
    beside = file.with_suffix(".tlog-proof")
    proof = beside.read_bytes() if beside.exists() else b""
    return Export(trail, evidence_proof, proof, openings)


def _fail(text: str) -> NoReturn:
    _errors.print(f"zegel: {text}", markup=False)
    raise typer.Exit(FAILED)
