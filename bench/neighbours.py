"""What a neighbour that drips a byte a second costs others: unary calls and uploads of another tenant, against idle.

For each kind of neighbour a server is started that has a dripping one. In a round, another tenant's calls and uploads
are timed while nothing needs the neighbour, and then while work of the affected tenant waits for it. Rounds are
interleaved, and the medians of their ratios are reported. A database and a blob store are everybody's, so that there is
nobody else whom they could keep waiting; ``tests/faults/test_dripping_neighbours.py`` tests them.
"""

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import zegel
from bench import _run

ROUNDS: Final = {"small": 3, "large": 9}
ASKED_S: Final = {"small": 2.0, "large": 10.0}
UPLOADS: Final = {"small": 8, "large": 40}
WAITING: Final = 8
"""Pieces of work of the affected tenant that wait at a time: twice a tenant's share of calls to a neighbour."""
PAUSE_S: Final = 0.5
"""Pause before the next try: while the neighbour is left alone it is refused at once, and load is not measured here."""
TARGET: Final = 2.0
PERCENT: Final = 0.99
Wait = Callable[[], object]


def _p99(client: zegel.Client, seconds: float) -> float:
    times, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        client.identity.get_tenant()
        times.append(time.perf_counter() - began)
    return sorted(times)[int(len(times) * PERCENT)]


def _uploads(client: zegel.Client, data: bytes, number: int) -> float:
    """The seconds of an upload, the median."""
    times = []
    for _ in range(number):
        began = time.perf_counter()
        client.documents.upload(data, title="Measured")
        times.append(time.perf_counter() - began)
    return _run.median(times)


@contextmanager
def _repeated(work: Wait) -> Iterator[None]:
    """Keeps so many pieces of work waiting; each fails in its time, and is begun again."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            try:
                work()
            except zegel.ZegelError:
                over.wait(PAUSE_S)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(WAITING)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


def _exchange(server: _run.Served, tenant_id: str, issuer: str) -> Wait:
    from support.providers import ForgingProvider, new_key  # noqa: PLC0415 - the tests' support

    forging = ForgingProvider(issuer, [new_key("k")])
    client = zegel.Client(server.target, root_certificates=server.authority.read_bytes(), timeout=15)
    return lambda: client.exchange(forging.token(), tenant_id=tenant_id)


def _seal(client: zegel.Client, data: bytes) -> Wait:
    """Signs a request, whose sealing then waits for a timestamp."""
    from support.flow import sign, usual_fields, usual_signers  # noqa: PLC0415 - the tests' support

    def work() -> None:
        document = client.documents.upload(data, title="Affected")
        request = client.signing.create_signature_request(
            title="Affected",
            documents=[zegel.RequestedDocument(document_id=document.document_id)],
            signers=usual_signers(1),
            fields=usual_fields(1),
        ).signature_request
        opened = client.signing.create_signer_session(
            signature_request_id=request.signature_request_id, signature_id=request.signatures[0].signature_id
        )
        sign(client.with_token(opened.token), 0)

    return work


def measure(kind: str, size: str, data: bytes) -> dict[str, float]:
    """Returns the figures of one kind of neighbour.

    Args:
        kind: ``timestamp_authority`` or ``identity_provider``.
        size: See the command line.
        data: The document.
    """
    from support.dripping import dripping  # noqa: PLC0415 - the tests' support

    with ExitStack() as stack:
        neighbour = stack.enter_context(dripping(mode="dripping"))
        url = f"http://{neighbour.address}"
        settings = {"timestamp_authority": {"timestamp_url": f"{url}/"}}.get(
            kind, {"identity_provider_origins": json.dumps([url])}
        )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(_run.zegel(folder, **settings))
        authority = server.authority.read_bytes()
        operator = stack.enter_context(
            zegel.Client(server.target, token=server.operator_token(), root_certificates=authority)
        )
        made: list[Any] = [operator.identity.create_tenant(name=name) for name in ("Affected", "Other")]
        one, other = (operator.with_token(each.api_key_token) for each in made)
        work: Wait
        if kind == "identity_provider":
            provider = zegel.IdentityProvider(issuer=url, audiences=["partner-app"])
            one.identity.set_identity_provider(identity_provider=provider)
            work = _exchange(server, made[0].tenant.tenant_id, url)
            busy: Callable[[], Any] = lambda: _repeated(work)  # noqa: E731
        else:
            seal = _seal(one, data)

            @contextmanager
            def waiting() -> Iterator[None]:
                for _ in range(WAITING):
                    seal()
                yield

            busy = waiting
        ratios: dict[str, list[float]] = {"unary_p99": [], "upload": []}
        _p99(other, 1.0)
        _uploads(other, data, 2)
        for _ in range(ROUNDS[size]):
            idle = _p99(other, ASKED_S[size]), _uploads(other, data, UPLOADS[size])
            with busy():
                slow = _p99(other, ASKED_S[size]), _uploads(other, data, UPLOADS[size])
            for name, with_, without in zip(ratios, slow, idle, strict=True):
                ratios[name].append(with_ / without)
        return {f"{kind}_{name}_ratio": _run.rounded(_run.median(each)) for name, each in ratios.items()}


def main() -> None:
    """Runs the benchmark."""
    from support.sealed import make_pdf  # noqa: PLC0415 - the tests' support

    options = _run.arguments(__doc__ or "")
    figures: dict[str, float] = {}
    for kind in ("identity_provider", "timestamp_authority"):
        figures |= measure(kind, options.size, make_pdf("Lease"))
        print(f"{kind}: {figures}", flush=True)
    _run.finish(bench="neighbours", **figures, target=TARGET, reached=max(figures.values()) <= TARGET)


if __name__ == "__main__":
    main()
