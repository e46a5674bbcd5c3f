"""The commands of ``zegel``."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from zegel import __version__
from zegel._internal.download import Content
from zegel._internal.findings import findings_in_words
from zegel._internal.printable import printable
from zegel.cli import audit as audit_cli
from zegel.cli import export as export_cli
from zegel.cli import verify as verify_cli
from zegel.cli import witness as witness_cli
from zegel.cli.console import make_console
from zegel.client import Client
from zegel.document.v1.document_service_pb2 import Document, DocumentState
from zegel.event.v1.event_type_pb2 import EventType
from zegel.identity.v1.identity_service_pb2 import SessionKind
from zegel.signing.v1.signature_request_pb2 import SignatureRequest, SignatureRequestState, SignatureStatus

app = typer.Typer(
    name="zegel",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
documents = typer.Typer(no_args_is_help=True, help="Documents: upload, download, look up.")
requests = typer.Typer(no_args_is_help=True, help="Signature requests.")
audit = typer.Typer(no_args_is_help=True, help="The audit trail.")
app.add_typer(documents, name="documents")
app.add_typer(requests, name="requests")
app.add_typer(audit, name="audit")
audit_cli.register(audit)
export_cli.register(audit)
witness_cli.register(app)
verify_cli.register(app)

Server = Annotated[str, typer.Option(envvar="ZEGEL_SERVER", help="The server, as host:port.")]
Token = Annotated[str, typer.Option(envvar="ZEGEL_TOKEN", help="API key or session token; best in the environment.")]
Authority = Annotated[
    Path | None,
    typer.Option("--ca", envvar="ZEGEL_CA", help="PEM of the certificate authority to trust; default: the system's."),
]
ClientEncrypted = Annotated[
    bool, typer.Option("--client-encrypted", help="Encrypt the document inside TLS, so that no proxy can read it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

_console = make_console()
_errors = make_console(stderr=True)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"zegel {__version__}")
        raise typer.Exit


@app.callback()
def _zegel(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Zegel: documents, signature requests, and the proof of them."""


@app.command()
def whoami(*, server: Server, token: Token, ca: Authority = None, as_json: AsJson = False) -> None:
    """Show who the token authenticates."""
    with Client(server, token=token, root_certificates=ca) as client:
        session = client.identity.get_current_session().session
    facts = {
        "Session": session.session_id,
        "Kind": name_of(SessionKind.DESCRIPTOR, session.kind),
        "Tenant": session.tenant_id,
        "Principal": session.principal_id,
        "Signature request": session.signature_request_id,
        "Expires": time_of(session.expire_time),
        "Narrowed to": ", ".join(session.permissions),
    }
    show(session, facts, as_json=as_json)


@documents.command("upload")
def upload_document(
    file: Annotated[Path, typer.Argument(help="The PDF.")],
    *,
    server: Server,
    token: Token,
    ca: Authority = None,
    title: Annotated[str, typer.Option(help="Title; default: the file's name.")] = "",
    version_of: Annotated[str, typer.Option(help="Identifier of the document to add a version to.")] = "",
    client_encrypted: ClientEncrypted = False,
    as_json: AsJson = False,
) -> None:
    """Upload a document."""
    with Client(server, token=token, root_certificates=ca) as client, progress("Sending") as told:
        document = client.documents.upload(
            file, title=title, document_id=version_of, progress=told, client_encrypted=client_encrypted
        )
    show(document, document_facts(document), as_json=as_json)


@documents.command("download")
def download_document(
    document_id: Annotated[str, typer.Argument(help="Identifier of the document.")],
    *,
    to: Annotated[Path, typer.Option("--to", "-o", help="The file to write.")],
    server: Server,
    token: Token,
    ca: Authority = None,
    version: Annotated[int, typer.Option(help="Number of the version; default: the newest.")] = 0,
    rendition: Annotated[
        bool, typer.Option("--rendition", help="Download what signers are shown, instead of the file as uploaded.")
    ] = False,
    client_encrypted: ClientEncrypted = False,
    as_json: AsJson = False,
) -> None:
    """Download a document. The file appears only once it is complete and checked."""
    content: Content = "rendition" if rendition else ""
    with Client(server, token=token, root_certificates=ca) as client, progress("Fetching") as told:
        got = client.documents.download(
            document_id, to=to, version=version, progress=told, client_encrypted=client_encrypted, content=content
        )
    with to.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    facts = {"File": str(to), "Version": got.version, "Size": f"{to.stat().st_size:,} bytes", "SHA-256": sha256}
    show(got, facts, as_json=as_json)


@documents.command("get")
def get_document(
    document_id: Annotated[str, typer.Argument(help="Identifier of the document.")],
    *,
    server: Server,
    token: Token,
    ca: Authority = None,
    as_json: AsJson = False,
) -> None:
    """Show a document's metadata."""
    with Client(server, token=token, root_certificates=ca) as client:
        document = client.documents.get_document(document_id=document_id).document
    show(document, document_facts(document), as_json=as_json)


@requests.command("get")
def get_request(
    signature_request_id: Annotated[str, typer.Argument(help="Identifier of the signature request.")],
    *,
    server: Server,
    token: Token,
    ca: Authority = None,
    as_json: AsJson = False,
) -> None:
    """Show the state of a signature request."""
    with Client(server, token=token, root_certificates=ca) as client:
        answer = client.signing.get_signature_request(signature_request_id=signature_request_id)
    request = answer.signature_request
    show(request, request_facts(request), as_json=as_json)
    if not as_json:
        rows = (
            (
                each.order,
                each.name,
                each.email,
                name_of(SignatureStatus.DESCRIPTOR, each.status),
                time_of(each.sign_time),
            )
            for each in request.signatures
        )
        table(("Order", "Signer", "Address", "Status", "Signed (UTC)"), rows)


@requests.command("list")
def list_requests(
    *,
    server: Server,
    token: Token,
    ca: Authority = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number to show.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List signature requests, newest first; with --json, one object per line."""
    with Client(server, token=token, root_certificates=ca) as client:
        shown = ["*"] if as_json else ["signature_request_id", "state", "create_time", "title"]
        listed = client.signing.list_signature_requests(page_size=min(limit, 1_000), read_mask=shown)
        found = [request for request, _ in zip(listed, range(limit), strict=False)]
    if as_json:
        for each in found:
            typer.echo(json.dumps(as_dict(each)))
        return
    rows = (
        (
            each.signature_request_id,
            name_of(SignatureRequestState.DESCRIPTOR, each.state),
            time_of(each.create_time),
            each.title,
        )
        for each in found
    )
    table(("Request", "State", "Sent (UTC)", "Title"), rows)


@audit.command("transaction")
def transaction(
    audit_id: Annotated[str, typer.Argument(help="The audit ID, as printed on the audit page.")],
    *,
    server: Server,
    token: Token,
    ca: Authority = None,
    out: Annotated[Path | None, typer.Option(help="Folder for audit.jsonl and the proofs.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the audit trail of a signature request, by its audit ID."""
    with Client(server, token=token, root_certificates=ca) as client:
        found = client.audit.get_transaction(audit_id=audit_id)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        files = {
            "audit.jsonl": found.audit_jsonl,
            "completed.tlog-proof": found.proof,
            "signed.tlog-proof": found.sealed_proof,
            "openings.json": found.openings,
        }
        for name, content in files.items():
            if content:
                (out / name).write_bytes(content)
    show(found, {"Signature request": found.signature_request_id, "Events": len(found.events)}, as_json=as_json)
    if not as_json:
        rows = (
            (each.log_index, time_of(each.event_time), name_of(EventType.DESCRIPTOR, each.type), each.principal_id)
            for each in found.events
        )
        table(("Index", "Time (UTC)", "What happened", "By"), rows)


@audit.command("log-key")
def log_key(*, server: Server, token: Token, ca: Authority = None) -> None:
    """Print the log's verifier key, the `log.vkey` of the commands that verify.

    Ask for it once, and keep it apart from what it is to check; compare it with the one that the operator publishes.
    """
    with Client(server, token=token, root_certificates=ca) as client:
        typer.echo(client.audit.get_checkpoint().verifier_key.strip())


# ------------------------------------------------------------------------------------------------------------- showing


def name_of(enum: EnumDescriptor, value: int) -> str:
    """A value's name without the enum's prefix, in words, or its number if this version does not know it.

    Args:
        enum: The enum's descriptor.
        value: The value.
    """
    known = enum.values_by_number.get(value)
    if known is None:
        return f"unknown ({value})"
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return known.name.removeprefix(prefix).lower().replace("_", " ")


def time_of(time: Timestamp) -> str:
    """A time to the second, in UTC; empty if unset.

    Args:
        time: The time.
    """
    return f"{time.ToDatetime():%Y-%m-%d %H:%M:%S}" if time.ByteSize() else ""


def as_dict(message: Message) -> dict[str, Any]:
    """A message as JSON data, with the field names of the contract.

    Args:
        message: The message.
    """
    return MessageToDict(message, preserving_proto_field_name=True)


def document_facts(document: Document) -> dict[str, object]:
    """The facts of a document to show to a person.

    Args:
        document: The document.
    """
    facts: dict[str, object] = {
        "Document": document.document_id,
        "Title": document.title,
        "State": name_of(DocumentState.DESCRIPTOR, document.state),
    }
    for version in document.versions:
        facts[f"Version {version.version}"] = (
            f"{version.size:,} bytes, {len(version.pages)} pages, SHA-256 {version.sha256.hex()}"
        )
        if version.HasField("rendition"):
            shown = version.rendition
            facts[f"Rendition {version.version}"] = f"{shown.size:,} bytes, SHA-256 {shown.sha256.hex()}"
        facts[f"Found in {version.version}"] = "; ".join(findings_in_words(version.findings))
    return facts


def request_facts(request: SignatureRequest) -> dict[str, object]:
    """The facts of a signature request to show to a person.

    Args:
        request: The request.
    """
    return {
        "Signature request": request.signature_request_id,
        "Title": request.title,
        "State": name_of(SignatureRequestState.DESCRIPTOR, request.state),
        "Audit ID": request.audit_id,
        "Sent (UTC)": time_of(request.create_time),
        "Sealed (UTC)": time_of(request.seal_time),
        "Shown to signers": request.rendition.document_id,
        "Sealed document": request.sealed_document_id,
        "Sealing": f"cannot go on: {request.sealing.last_reason}" if request.sealing.blocked else "",
    }


def show(message: Message, facts: Mapping[str, object], *, as_json: bool) -> None:
    """Prints a message: some facts for a person, or all of it for a program.

    Args:
        message: The message.
        facts: The facts for a person; empty ones are omitted.
        as_json: Whether to print for a program.
    """
    if as_json:
        typer.echo(json.dumps(as_dict(message), indent=2))
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, fact in facts.items():
        if fact not in {"", None}:
            grid.add_row(name, plain(fact))
    _console.print(grid)


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Prints a table.

    Args:
        heads: The columns.
        rows: The rows.
    """
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in heads:
        shown.add_column(head, overflow="fold")
    for row in rows:
        shown.add_row(*(plain(cell) for cell in row))
    _console.print(shown)


def plain(value: object) -> Text:
    """Text without control characters: titles and names come from others, and could control the terminal.

    Args:
        value: What to print.
    """
    return Text(printable(str(value)))


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on standard error during a transfer; nothing if that is not a terminal.

    Args:
        what: Label of the bar.

    Yields:
        A function to call with the bytes done and the total.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=_errors, transient=True, disable=not _errors.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
