"""A document goes in; a sealed document that anyone can verify comes out.

Starts a development server and acts as a partner application through the Python SDK alone: a tenant, a sender, a
document, a signature request for two signers in order, and each signer's ceremony. Then the server is stopped, and
``zegel verify`` checks what came out. The last line of standard output is one JSON object.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

import zegel
from demo_contract import TITLE, write_contract
from demo_partner import SIGNERS, send, sign
from demo_server import DemoServer, ServerError

SEAL_S: Final = 120.0
"""Maximum time for sealing and logging, enough for a large document on a busy machine."""

POLL_S: Final = 0.2
"""Time between two polls of a request that is being sealed."""

SENDER: Final = ("Noor Bakker", "noor@example.com")


class DemoError(Exception):
    """A step of the demo failed; the message says which."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files that the demo writes to its folder."""

    folder: Path

    @property
    def signed(self) -> Path:
        """The sealed document."""
        return self.folder / "signed.pdf"

    @property
    def proof(self) -> Path:
        """The log's proof for it."""
        return self.folder / "signed.tlog-proof"

    @property
    def log_key(self) -> Path:
        """The key that verifies the log."""
        return self.folder / "log.vkey"

    @property
    def authority(self) -> Path:
        """The development authority's certificate."""
        return self.folder / "authority.pem"


class Steps:
    """Prints the demo's progress, one line for each step.

    Args:
        console: Where to print it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._began

    def done(self, text: str) -> None:
        """Prints a completed step.

        Args:
            text: What was done.
        """
        self._console.print(f"[dim]{self.seconds:6.1f} s[/]  {escape(text)}", soft_wrap=True)


def until_downloadable(sender: zegel.Client, request_id: str, steps: Steps) -> zegel.SignatureRequest:
    """Waits until the sealed document exists.

    Args:
        sender: The sender's client.
        request_id: The signature request.
        steps: Gets a line when everybody has signed.

    Raises:
        DemoError: It does not exist in time.
    """
    told = False
    deadline = time.monotonic() + SEAL_S
    while True:
        request = sender.signing.get_signature_request(signature_request_id=request_id).signature_request
        if request.state == zegel.SignatureRequestState.DOWNLOADABLE:
            return request
        if request.state != zegel.SignatureRequestState.ALL_SIGNED:
            raise DemoError(f"the request is in state {request.state} after everybody signed")
        if time.monotonic() > deadline:
            why = request.sealing.last_reason or "no reason given"
            raise DemoError(f"the document was not sealed within {SEAL_S:.0f} s ({why})")
        if not told:
            steps.done("All have signed; the document is being sealed")
            told = True
        time.sleep(POLL_S)


def until_proved(owner: zegel.Client, audit_id: str) -> zegel.GetTransactionResponse:
    """Waits until a checkpoint of the log covers the sealed file's hash.

    Args:
        owner: The owner's client.
        audit_id: The request's audit ID.

    Raises:
        DemoError: It does not exist in time.
    """
    deadline = time.monotonic() + SEAL_S
    while time.monotonic() < deadline:
        transaction = owner.audit.get_transaction(audit_id=audit_id)
        if transaction.sealed_proof:
            return transaction
        time.sleep(POLL_S)
    raise DemoError(f"the log had no proof of the sealed file within {SEAL_S:.0f} s")


def session_of(client: zegel.Client, sender: zegel.Client, signature: zegel.Signature, request_id: str) -> zegel.Client:
    """A client with the session of one signer.

    Args:
        client: The client whose connection is used.
        sender: The client that opens the session.
        signature: The signer's part.
        request_id: The request.
    """
    opened = sender.signing.create_signer_session(signature_request_id=request_id, signature_id=signature.signature_id)
    return client.with_token(opened.token)


def flow(client: zegel.Client, pdf: Path, title: str, *, files: Files, steps: Steps, console: Console) -> str:
    """Takes a document from upload to sealed file, through the SDK alone.

    Args:
        client: The operator's client.
        pdf: The PDF to sign.
        title: The document's title.
        files: Where to write the results.
        steps: Gets a line for each step.
        console: Where the progress bar is shown.

    Returns:
        The audit ID.
    """
    created = client.identity.create_tenant(name="Demo BV")
    owner = client.with_token(created.api_key_token)
    name, email = SENDER
    member = owner.identity.create_member(name=name, email=email, roles=["member"]).member
    sender = client.with_token(owner.identity.create_session(member_id=member.member_id).token)
    steps.done(f"Tenant {created.tenant.tenant_id} with its API key; {name} has a session as its member")

    with bar(console, "Sending") as told:
        document = sender.documents.upload(pdf, title=title, progress=told)
    version = document.versions[-1]
    steps.done(f"Sent {pdf.name}: {version.size:,} bytes, {len(version.pages)} pages, stored encrypted")

    request = send(sender, document)
    request_id = request.signature_request_id
    steps.done(f"Signature request {request_id} for {' and then '.join(name for name, _ in SIGNERS)}")

    first, second = (session_of(client, sender, each, request_id) for each in request.signatures)
    try:
        sign(second, 1)
    except zegel.RecipientOutOfTurn as refused:
        steps.done(f"{SIGNERS[1][0]} tries first and is refused: {refused.reason}")
    else:
        raise DemoError("the second signer could sign before the first")
    for number, signer in enumerate((first, second)):
        sign(signer, number)
        steps.done(f"{SIGNERS[number][0]} opened, read, consented, filled in and signed")

    request = until_downloadable(sender, request_id, steps)
    with bar(console, "Fetching") as told:
        sealed = sender.documents.download(request.sealed_document_id, to=files.signed, progress=told)
    steps.done(f"Fetched the sealed document: {sealed.size:,} bytes, SHA-256 {sealed.sha256.hex()}")

    files.proof.write_bytes(until_proved(owner, request.audit_id).sealed_proof)
    files.log_key.write_text(owner.audit.get_checkpoint().verifier_key.strip() + "\n", encoding="utf-8")
    steps.done(f"Found audit ID {request.audit_id} in the log, and fetched the proof")
    return request.audit_id


class bar:  # noqa: N801 - used as a verb
    """A progress bar, shown only on a terminal.

    Args:
        console: Where to print it.
        what: What the bar measures.
    """

    def __init__(self, console: Console, what: str) -> None:
        columns = (TextColumn("          {task.description}"), BarColumn(), DownloadColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._what = what

    def __enter__(self) -> Callable[[int, int | None], None]:
        self._bar.start()
        task = self._bar.add_task(self._what, total=None)
        return lambda done, total: self._bar.update(task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def verify(files: Files) -> bool:
    """Runs ``zegel verify`` on the results, and prints its report.

    Args:
        files: The files.
    """
    command = [str(Path(sys.executable).parent / "zegel"), "verify", files.signed.name]
    command += ["--log-key", files.log_key.name, "--trust", files.authority.name]
    print(f"\n$ {' '.join(['zegel', *command[1:]])}\n", flush=True)
    return subprocess.run(command, cwd=files.folder, check=False).returncode == 0


def run(pdf: Path | None, folder: Path) -> dict[str, object]:
    """Runs the demo.

    Args:
        pdf: The PDF to sign; ``None`` for the demo's own contract.
        folder: Where to write the results.

    Returns:
        The object that the last line prints.
    """
    console = Console(highlight=False)
    steps, files = Steps(console), Files(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in (files.signed, files.proof, files.log_key, files.authority):
        old.unlink(missing_ok=True)  # a run that fails must not leave another run's files to be verified
    with tempfile.TemporaryDirectory(prefix="zegel-demo-") as scratch, DemoServer() as server:
        try:
            title = pdf.name if pdf else TITLE
            if pdf is None:
                pdf = Path(scratch) / "contract.pdf"
                write_contract(pdf)
            steps.done(f"The server is ready on {server.address}")
            target = zegel.Client(server.address, token=server.operator_token, root_certificates=server.authority)
            with target as client:
                audit_id = flow(client, pdf, title, files=files, steps=steps, console=console)
            shutil.copyfile(server.authority, files.authority)
        except Exception:
            print(f"\nthe end of the server's log:\n{server.tail()}\n", file=sys.stderr)
            raise
        server.stop()
        steps.done("The server is stopped")
    verified = verify(files)
    return {
        "audit_id": audit_id,
        "signed_pdf": str(files.signed),
        "verified": verified,
        "seconds": round(steps.seconds, 2),
    }


def main() -> int:
    """Runs the program.

    Returns:
        The exit status: 0 if the sealed document is there and valid.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pdf", default="", help="the PDF to sign; a contract of the demo's own if not given")
    parser.add_argument("--out", default="", help="folder for what comes out (default: demo-out)")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)  # also where the parent ignores Ctrl-C, as a shell's `&` does
    try:
        result = run(Path(given.pdf) if given.pdf else None, Path(given.out or "demo-out"))
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    except (DemoError, ServerError, zegel.ZegelError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result), flush=True)
    return 0 if result["verified"] else 1


def _stop(_number: int, _frame: object) -> NoReturn:
    """SIGTERM ends the demo as Ctrl-C does, so that its server is stopped."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
