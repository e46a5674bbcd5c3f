"""A partner's program under `mypy --strict`: what is right passes, and what is wrong is found, on either client."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import zegel

SDK = Path(zegel.__file__).parents[1]

RIGHT = """
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import zegel
import zegel.aio


def send(client: zegel.Client, file: str) -> zegel.SignatureRequest:
    document: zegel.Document = client.documents.upload(file, title="Lease")
    return client.signing.create_signature_request(
        title="Lease",
        documents=[zegel.RequestedDocument(document_id=document.document_id)],
        signers=(zegel.Signer(name=name, email=f"{name}@example.com") for name in ("robin", "sam")),
        fields=[zegel.Field(api_id="here", type=zegel.FieldType.SIGNATURE, page=1)],
        expire_time=datetime.now(UTC) + timedelta(days=30),
    ).signature_request


def renew(client: zegel.Client, key: zegel.ApiKey) -> str:
    return client.identity.rotate_api_key(api_key_id=key.api_key_id, overlap=timedelta(hours=1)).token


def denied(client: zegel.Client, since: datetime) -> Iterator[zegel.Event]:
    for event in client.audit.list_events(types=[zegel.EventType.ACCESS_DENIED], start_time=since):
        yield event
    again = client.audit.list_events(types=[event.type], start_time=event.event_time)
    sizes: list[int] = [len(page.events) for page in again.pages()]


async def title(client: zegel.aio.Client, document_id: str) -> str:
    got = await client.documents.get_document(document_id=document_id)
    async for each in client.documents.list_documents(page_size=10, read_mask=["title"]):
        print(each.title)
    return got.document.title
"""

WRONG = {
    "no such argument": ('client.signing.create_signature_request(titel="Lease")', "call-arg"),
    "a positional argument": ('client.documents.get_document("doc_1")', "call-arg"),
    "a text for a number": ('client.audit.list_events(page_size="10")', "arg-type"),
    "a text for a time": ('client.audit.list_events(start_time="2026-03-01")', "arg-type"),
    "a text for a mask": ('client.documents.list_documents(read_mask="title")', "arg-type"),
    "seconds for a duration": ('client.identity.rotate_api_key(api_key_id="key_1", overlap=5)', "arg-type"),
    "nothing for a text": ("client.documents.get_document(document_id=None)", "arg-type"),
    "another enum's value": ("client.audit.list_events(types=[zegel.FieldType.TEXT])", "list-item"),
    "another message": ('client.signing.create_signature_request(signers=[zegel.Field(api_id="a")])', "list-item"),
    "no such method": ('client.documents.fetch_document(document_id="doc_1")', "attr-defined"),
    "no such field of the response": ('client.documents.get_document(document_id="doc_1").titel', "attr-defined"),
}
"""Lines that are wrong, and the code of what mypy says. On asyncio's client the last is of a coroutine."""


@pytest.mark.slow
def test_mypy_finds_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    lines = [line for line, _ in WRONG.values()]
    program = RIGHT + "".join(
        f"\n\n{define} wrong_{kind.replace('.', '_')}(client: zegel.{kind}) -> None:\n"
        + textwrap.indent("\n".join(lines if kind == "Client" else map(awaited, lines)), "    ")
        for define, kind in (("def", "Client"), ("async def", "aio.Client"))
    )
    (tmp_path / "partner.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-color-output", "partner.py"],
        cwd=tmp_path,
        env={"MYPYPATH": str(SDK)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    told = {
        int(number): code
        for number, code in re.findall(r"^partner\.py:(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE)
    }
    first = program.split("\n").index("    " + lines[0]) + 1
    second = program.split("\n").index("    " + awaited(lines[0])) + 1
    codes = [code for _, code in WRONG.values()]
    assert told == {start + number: code for start in (first, second) for number, code in enumerate(codes)}, done.stdout


def awaited(line: str) -> str:
    """The same line for asyncio's client; a list is not awaited."""
    return line if "list_events" in line else f"await {line}"
