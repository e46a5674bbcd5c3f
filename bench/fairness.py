"""How long a tenant waits for the seal of a small contract while a neighbour has many large ones to be sealed.

A round measures the wait from the last signature to the sealed document: first on an idle server, then right after a
neighbour's signers have all signed requests on a file of many objects. When those are sealed, the next round begins.
Medians of the rounds are reported, and their ratio; ``behind`` counts how many of the neighbour's were sealed before.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import zegel
import zegel.aio
from bench import _run
from bench.job import contract
from zegel.signing.v1.signature_request_pb2 import (
    Field,
    FieldType,
    FieldValue,
    Mark,
    RequestedDocument,
    SignatureRequestState,
    Signer,
)

OBJECTS: Final = {"small": 60_000, "large": 300_000}
"""Objects of the neighbour's file; 300,000 take 27 MB."""
REQUESTS: Final = {"small": 8, "large": 30}
ROUNDS: Final = 3
POLL_S: Final = 0.05
NAME: Final = "Sanne de Vries"


def many_objects(number: int) -> bytes:
    """Returns a PDF of one page with so many small objects, each of which the page refers to."""
    names = b" ".join(b"/G%d %d 0 R" % (each, each) for each in range(4, number + 4))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</ExtGState<<" + names + b">>>>>>",
        *(b"<</Type/ExtGState/LW %d>>" % each for each in range(number)),
    ]
    data, offsets = bytearray(b"%PDF-1.7\n"), list[int]()
    for at, each in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj\n" % at + each + b"\nendobj\n"
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    data += b"trailer\n<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(data)


class Tenant:
    """A tenant with a document, whose requests have one signer each.

    Args:
        client: The operator's client.
        pdf: The document.
    """

    def __init__(self, client: zegel.aio.Client, pdf: bytes) -> None:
        self._client = client
        self._pdf = pdf
        self._document_id = ""
        self._sender: Any = None

    async def open(self) -> None:
        """Makes the tenant and uploads its document."""
        created = await self._client.identity.create_tenant(name="Bench")
        self._sender = self._client.with_token(created.api_key_token)
        self._document_id = (await self._sender.documents.upload(self._pdf, title="contract.pdf")).document_id

    async def prepare(self) -> tuple[str, zegel.aio.Client]:
        """Sends a request and fills it in; returns it with its signer, who has only to sign."""
        field = Field(api_id="sign", type=FieldType.FIELD_TYPE_SIGNATURE, page=1, x=60, y=650, width=200, height=50)
        field.required = True
        sent = await self._sender.signing.create_signature_request(
            title="Contract",
            documents=[RequestedDocument(document_id=self._document_id)],
            signers=[Signer(name=NAME, email="sanne@example.com")],
            fields=[field],
        )
        request = sent.signature_request
        opened = await self._sender.signing.create_signer_session(
            signature_request_id=request.signature_request_id, signature_id=request.signatures[0].signature_id
        )
        signer = self._client.with_token(opened.token)
        await signer.ceremony.open_ceremony()
        await signer.documents.download(request.rendition.document_id)
        await signer.ceremony.accept_disclosure()
        await signer.ceremony.fill_fields(values=[FieldValue(api_id="sign", mark=Mark(typed=NAME))])
        return request.signature_request_id, signer

    async def is_sealed(self, signature_request_id: str) -> bool:
        """Whether a request is sealed."""
        found = await self._sender.signing.get_signature_request(signature_request_id=signature_request_id)
        state: int = found.signature_request.state
        return state == SignatureRequestState.SIGNATURE_REQUEST_STATE_DOWNLOADABLE

    async def sealed(self, signature_request_id: str) -> None:
        """Waits until a request is sealed."""
        is_sealed = await self.is_sealed(signature_request_id)
        while not is_sealed:
            await asyncio.sleep(POLL_S)
            is_sealed = await self.is_sealed(signature_request_id)

    async def wait_s(self) -> float:
        """Returns how many seconds a contract waits for its seal after its last signature."""
        number, signer = await self.prepare()
        await signer.ceremony.sign_documents()
        began = time.perf_counter()
        await self.sealed(number)
        return time.perf_counter() - began


async def measure(served: _run.Served, size: str) -> dict[str, Any]:
    """Returns the figures."""
    large = many_objects(OBJECTS[size])
    idle, busy, behind = list[float](), list[float](), list[float]()
    authority = served.authority.read_bytes()
    async with zegel.aio.Client(served.target, token=served.operator_token(), root_certificates=authority) as client:
        small, neighbour = Tenant(client, contract()), Tenant(client, large)
        await small.open()
        await neighbour.open()
        await small.wait_s()  # warming up
        for _ in range(ROUNDS):
            idle.append(await small.wait_s())
            waiting = [await neighbour.prepare() for _ in range(REQUESTS[size])]
            await asyncio.gather(*(signer.ceremony.sign_documents() for _, signer in waiting))
            busy.append(await small.wait_s())
            behind.append(sum([await neighbour.is_sealed(number) for number, _ in waiting]))
            await asyncio.gather(*(neighbour.sealed(number) for number, _ in waiting))
            print(f"idle {idle[-1]:.2f} s, beside the neighbour {busy[-1]:.2f} s, behind {behind[-1]:.0f}", flush=True)
    return {
        "idle_s": _run.rounded(_run.median(idle)),
        "busy_s": _run.rounded(_run.median(busy)),
        "ratio": _run.rounded(_run.median([much / none for much, none in zip(busy, idle, strict=True)])),
        "behind": _run.median(behind),
        "requests": REQUESTS[size],
        "objects": OBJECTS[size],
        "bytes": len(large),
    }


def main() -> None:
    """Runs the benchmark."""
    size = _run.arguments(__doc__ or "").size
    with (
        tempfile.TemporaryDirectory(prefix="zegel-bench-") as folder,
        _run.zegel(Path(folder) / "data", log_level="warning") as served,
    ):
        figures = asyncio.run(measure(served, size))
    _run.finish(bench="fairness", **figures)


if __name__ == "__main__":
    main()
