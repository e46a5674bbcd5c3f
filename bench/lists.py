"""A page of a hundred signature requests, with 50 callers at a time: as a summary, and with all fields.

The floor is a bare grpc.aio server that answers with the bytes of the summary, with TLS as well. All servers run in
their own processes under the same load generator in one run; rounds are interleaved. The worst of all medians is of a
page with all fields.
"""

import asyncio
import json
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import zegel
import zegel.aio
from bench import _run
from bench.rpc import one_page

CALLERS: Final = 50
CONNECTIONS: Final = 10
PAGE: Final = 100
REQUESTS: Final = {"small": 120, "large": 1_000}
ROUNDS: Final = {"small": 3, "large": 9}
SECONDS: Final = {"small": 1, "large": 6}
AT_ONCE: Final = 4
METHOD: Final = "zegel.signing.v1.SigningService/ListSignatureRequests"
MASKS: Final[dict[str, list[str]]] = {"summary": [], "all": ["*"]}
"""What is shown."""


class Subject:
    """A server and what its pages are to show."""

    def __init__(self, name: str, served: _run.Served, token: str, mask: list[str]) -> None:
        self.name = name
        self.p50_ms: list[float] = []
        self.p99_ms: list[float] = []
        self.rates: list[float] = []
        self._served = served
        self._token = token
        self._mask = mask

    def measure(self, protoset: Path, seconds: float) -> None:
        """Runs one round: measures calls per second, and how long they take."""
        command = [str(_run.ghz()), "--cacert", str(self._served.authority), "--protoset", str(protoset)]
        asked = {"page_size": PAGE, "read_mask": {"paths": self._mask}}
        command += ["--call", METHOD, "-d", json.dumps(asked)]
        command += ["-m", json.dumps({"authorization": f"Bearer {self._token}"}), "-c", str(CALLERS)]
        command += ["--connections", str(CONNECTIONS), "-z", f"{seconds}s", "--duration-stop", "wait"]
        command += ["--format", "json", self._served.target]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        failed = {status: count for status, count in report["statusCodeDistribution"].items() if status != "OK"}
        if failed:
            raise SystemExit(f"bench: {self.name} answered {failed}")
        times = {each["percentage"]: each["latency"] / 1e6 for each in report["latencyDistribution"]}
        self.p50_ms.append(times[50])
        self.p99_ms.append(times[99])
        self.rates.append(report["rps"])


async def prepare(served: _run.Served, count: int) -> tuple[str, dict[str, bytes]]:
    """Makes a member with so many requests, of two signers each; returns its token, and a page's bytes by mask."""
    authority = served.authority.read_bytes()
    async with zegel.aio.Client(served.target, token=served.operator_token(), root_certificates=authority) as client:
        owner = client.with_token((await client.identity.create_tenant(name="Bench")).api_key_token)
        member = (await owner.identity.create_member(name="Ann", email="ann@example.com")).member
        token = (await owner.identity.create_session(member_id=member.member_id)).token
        sender = client.with_token(token)
        document = await sender.documents.upload(one_page(), title="contract.pdf")
        numbers = iter(range(count))

        async def send() -> None:
            for number in numbers:
                await sender.signing.create_signature_request(**request(document.document_id, number))

        await asyncio.gather(*(send() for _ in range(AT_ONCE)))
        pages = {}
        for name, mask in MASKS.items():
            async for page in sender.signing.list_signature_requests(page_size=PAGE, read_mask=mask).pages():
                pages[name] = page.SerializeToString()
                break
        return token, pages


def request(document_id: str, number: int) -> dict[str, Any]:
    """What is sent: a signature and a date for each of two signers, of whom few are the same."""
    signers, fields = [], []
    for index, name in enumerate(("Sanne de Vries", "Robin Jansen")):
        signers.append(zegel.Signer(name=name, email=f"signer-{number}-{index}@example.com"))
        for kind, y in ((zegel.FieldType.SIGNATURE, 600), (zegel.FieldType.DATE_SIGNED, 700)):
            place: dict[str, Any] = {"page": 1, "x": 60 + 260 * index, "y": y, "width": 200, "height": 50}
            fields.append(zegel.Field(api_id=f"{kind}-{index}", type=kind, signer_index=index, **place))
    return {
        "title": f"Lease of {number} Long Street",
        "message": "Please sign before Friday.",
        "documents": [zegel.RequestedDocument(document_id=document_id)],
        "signers": signers,
        "fields": fields,
    }


def main() -> None:
    """Measures and prints."""
    size = _run.arguments(__doc__ or "").size
    _run.ghz()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zegel-bench-")))
        protoset = _run.descriptors(folder, "zegel/signing/v1/signing_service.proto")
        subjects: list[Subject] = []
        pages: dict[str, bytes] = {}
        for name, served in _run.on_each_database(stack, folder):
            token, pages = asyncio.run(prepare(served, REQUESTS[size]))
            subjects += [Subject(f"{name} {shown}", served, token, mask) for shown, mask in MASKS.items()]
        floor = Subject(
            "floor", stack.enter_context(_run.echo(folder, folder / "sqlite", pages["summary"])), "none", []
        )
        for turn in range(ROUNDS[size] + 1):
            for subject in (floor, *subjects):
                subject.measure(protoset, 1 if turn == 0 else SECONDS[size])
                if turn == 0:  # warming up
                    for figures in (subject.p50_ms, subject.p99_ms, subject.rates):
                        figures.clear()
                else:
                    print(f"round {turn}: {subject.name:<18} p99 {subject.p99_ms[-1]:7.1f} ms", flush=True)
    report(floor, subjects, pages)


def report(floor: Subject, subjects: list[Subject], pages: dict[str, bytes]) -> None:
    """Prints the figures; the last line is JSON."""
    p99 = {each.name: _run.rounded(_run.median(each.p99_ms), 1) for each in (floor, *subjects)}
    for each in (floor, *subjects):
        print(
            f"{each.name:<18} {_run.median(each.rates):7,.0f}/s, p50 {_run.median(each.p50_ms):7.1f} ms,"
            f" p99 {p99[each.name]:7.1f} ms"
        )
    ratios = {
        each.name: _run.rounded(
            _run.median([own / least for own, least in zip(each.p99_ms, floor.p99_ms, strict=True)]), 2
        )
        for each in subjects
    }
    _run.finish(
        worst_p99_ms=max(p99[each.name] for each in subjects),
        p99_ms=p99,
        ratio_p99=ratios,
        per_second={each.name: round(_run.median(each.rates)) for each in (floor, *subjects)},
        page_bytes={name: len(page) for name, page in pages.items()},
    )


if __name__ == "__main__":
    main()
