"""Whole flows per second, eight at a time, with the share of each part: upload, request, signing, sealing, download.

``pdf_share`` is the PDF workers' share of the processor time of the whole server (workers and server process); the
shares of the parts are of the time that a flow takes.
"""

import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import zegel
import zegel.aio
from bench import _run
from bench.rpc import cpu_seconds
from zegel.signing.v1.signature_request_pb2 import (
    Field,
    FieldType,
    FieldValue,
    Mark,
    RequestedDocument,
    SignatureRequestState,
    Signer,
)

AT_ONCE: Final = 8
FLOWS: Final = {"small": 48, "large": 400}
POLL_S: Final = 0.05
SIGNERS: Final = (("Sanne de Vries", "sanne@example.com"), ("Robin Jansen", "robin@example.com"))


class Parts:
    """The time of each part, summed over all flows."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measures a part."""
        began = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - began


def tree_cpu(pid: int) -> tuple[float, float]:
    """Returns processor seconds of the server's own process, and of its PDF workers, including ended ones."""
    workers = 0.0
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        fields = Path(f"/proc/{child}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        workers += sum(map(int, fields[11:15])) / 100
    return cpu_seconds(pid), workers


def fields() -> list[Field]:
    """A signature and a date for each signer."""
    made = []
    for index in range(len(SIGNERS)):
        place = Field(page=2, x=60 + 260 * index, signer_index=index, required=True)
        sign = Field(api_id=f"sign-{index}", type=FieldType.FIELD_TYPE_SIGNATURE, y=650, width=200, height=50)
        date = Field(api_id=f"date-{index}", type=FieldType.FIELD_TYPE_DATE_SIGNED, y=710, width=100, height=18)
        for field in (sign, date):
            field.MergeFrom(place)
            made.append(field)
    return made


async def flow(client: zegel.aio.Client, pdf: bytes, parts: Parts) -> None:
    """Takes one document from a new tenant to the sealed file."""
    with parts.part("tenant"):
        owner = client.with_token((await client.identity.create_tenant(name="Bench")).api_key_token)
        member = (await owner.identity.create_member(name="Noor Bakker", email="noor@example.com")).member
        sender = client.with_token((await owner.identity.create_session(member_id=member.member_id)).token)
    with parts.part("upload"):
        document = await sender.documents.upload(pdf, title="contract.pdf")
    with parts.part("request"):
        request = (
            await sender.signing.create_signature_request(
                title="Contract",
                documents=[RequestedDocument(document_id=document.document_id)],
                signers=[Signer(name=name, email=email, order=at) for at, (name, email) in enumerate(SIGNERS)],
                fields=fields(),
            )
        ).signature_request
    with parts.part("ceremonies"):
        for number, signature in enumerate(request.signatures):
            opened = await sender.signing.create_signer_session(
                signature_request_id=request.signature_request_id, signature_id=signature.signature_id
            )
            signer = client.with_token(opened.token)
            await signer.ceremony.open_ceremony()
            await signer.documents.download(request.rendition.document_id)
            await signer.ceremony.accept_disclosure()
            mark = FieldValue(api_id=f"sign-{number}", mark=Mark(typed=SIGNERS[number][0]))
            await signer.ceremony.fill_fields(values=[mark])
            await signer.ceremony.sign_documents()
    with parts.part("sealing"):
        while request.state != SignatureRequestState.SIGNATURE_REQUEST_STATE_DOWNLOADABLE:
            await asyncio.sleep(POLL_S)
            found = await sender.signing.get_signature_request(signature_request_id=request.signature_request_id)
            request = found.signature_request
    with parts.part("download"):
        await sender.documents.download(request.sealed_document_id)


async def measure(served: _run.Served, pdf: bytes, flows: int) -> tuple[float, Parts, tuple[float, float]]:
    """Runs flows; returns flows per second, the parts, and processor seconds of the server and of the workers."""
    token = served.operator_token()
    authority = served.authority.read_bytes()
    async with zegel.aio.Client(served.target, token=token, root_certificates=authority) as client:
        await asyncio.gather(*(flow(client, pdf, Parts()) for _ in range(2)))  # warming up
        parts, left = Parts(), iter(range(flows))
        before, began = tree_cpu(served.pid), time.perf_counter()

        async def work() -> None:
            for number in left:
                await flow(client, pdf, parts)
                if (number + 1) % AT_ONCE == 0:
                    print(f"{number + 1:4} flows, {(number + 1) / (time.perf_counter() - began):.2f}/s", flush=True)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        rate, after = flows / (time.perf_counter() - began), tree_cpu(served.pid)
    return rate, parts, (after[0] - before[0], after[1] - before[1])


def contract() -> bytes:
    """Returns the two-page contract that the demo signs."""
    import sys  # noqa: PLC0415 - the demo is a program, not a package

    sys.path.append(str(_run.ROOT / "scripts"))
    from demo_contract import write_contract  # noqa: PLC0415 - found by the line above

    with tempfile.TemporaryDirectory(prefix="zegel-bench-") as folder:
        write_contract(Path(folder) / "contract.pdf")
        return (Path(folder) / "contract.pdf").read_bytes()


def main() -> None:
    """Measures and prints."""
    size = _run.arguments(__doc__ or "").size
    with (
        tempfile.TemporaryDirectory(prefix="zegel-bench-") as folder,
        _run.zegel(Path(folder) / "data", log_level="warning") as served,
    ):
        rate, parts, (server, workers) = asyncio.run(measure(served, contract(), FLOWS[size]))
    whole = sum(parts.seconds.values())
    shares = {name: _run.rounded(seconds / whole) for name, seconds in parts.seconds.items()}
    for name, share in shares.items():
        print(f"{name:<12} {share:6.1%} of a flow's time")
    flows = FLOWS[size]
    print(f"processor time a flow: server {server / flows * 1e3:.0f} ms, PDF workers {workers / flows * 1e3:.0f} ms")
    _run.finish(
        flows_per_second=_run.rounded(rate, 2),
        pdf_share=_run.rounded(workers / (workers + server)),
        shares=shares,
        seconds_per_flow=_run.rounded(whole / flows),
        at_once=AT_ONCE,
    )


if __name__ == "__main__":
    main()
