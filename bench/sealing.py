"""Sealing after everybody has signed, against bare pyHanko: B-LTA of the same bytes with the same authority.

Zegel appends stamps on three pages, an audit page, the evidence, the seal and timestamps to the rendition, and checks
the result: its format, and the stamped pages as drawn. Both are timed in this process; the PDF workers are forked from
a zygote as in the server, and pyHanko signs in the process itself, with everything loaded.

``ratio_to_pyhanko`` is the worst of the sizes' median ratios; ``p95_ms`` is Zegel's for two pages.
"""

import asyncio
import datetime as dt
import io
import logging
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from asn1crypto import crl, keys, ocsp, tsp, x509
from cryptography.hazmat.primitives import serialization
from PIL import Image
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.timestamps import TimeStamper
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from bench import _run
from support.sealed import AUDIT, answer_about_seal, seal_spec
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.keyed_certificate import KeyedCertificate
from zegel_server.credentials.timestamping import LocalTimestampAuthority
from zegel_server.pdf.model import Box, CompletionJob, Stamp
from zegel_server.pdf.sandbox.client import Sandbox

PAGES: Final = (2, 10, 100)

logging.getLogger("pyhanko").setLevel(logging.ERROR)  # it warns at each seal that fetching is off, as it is meant to be
ROUNDS: Final = {"small": 7, "large": 31}
PICTURE: Final = 200
"""Width and height of a page's image in pixels; it is noise, so a page has some 120 KB."""
EVENTS: Final = 10_000
"""Bytes of the trail, as for a request with two signers."""


def document(pages: int) -> bytes:
    """Returns a PDF whose pages have text and an image; a document of two pages has only text."""
    noise = random.Random(pages)  # noqa: S311 - no secret
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    for number in range(pages):
        for line in range(40):
            canvas.drawString(60, 780 - 14 * line, f"{number + 1}.{line + 1} The parties agree to what stands here.")
        if pages > 2:  # noqa: PLR2004 - a contract's two pages have no picture
            picture = Image.frombytes("RGB", (PICTURE, PICTURE), noise.randbytes(PICTURE * PICTURE * 3))
            canvas.drawImage(ImageReader(picture), 60, 40, 160, 160)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def job_of(rendition: bytes, pages: int) -> CompletionJob:
    """Returns a rendition's completion job, with stamps on three pages, or on all if there are fewer."""
    stamps = [
        Stamp(page, 300.0, 600.0, 180.0, 50.0, "signature", text="Sanne de Vries", caption="Sanne de Vries\nnow\nsig_1")
        for page in dict.fromkeys((1, (pages + 1) // 2, pages))
    ]
    files = {"audit.jsonl": b"{}\n" * (EVENTS // 3), "completed.tlog-proof": bytes(1_000), "openings.json": bytes(900)}
    return CompletionJob(rendition, stamps, AUDIT, files, dt.datetime.now(dt.UTC))


class Ours:
    """Completes and seals documents as the server does."""

    def __init__(self, sandbox: Sandbox, authority: DevelopmentAuthority) -> None:
        self._sandbox = sandbox
        self._authority = authority
        self._timestamps = LocalTimestampAuthority(authority.timestamp)
        self._size = 0
        self._answer = answer_about_seal(authority)

    async def sign(self, data: bytes) -> bytes:
        """Returns the seal's signature."""
        return await asyncio.to_thread(self._authority.seal.sign, data)

    async def seal(self, job: CompletionJob) -> bytes:
        """Returns a sealed file, after checking it."""
        spec = seal_spec(self._authority, token_size=self._size, ocsps=[self._answer])
        made = await self._sandbox.complete(job, spec, self.sign, self._timestamps.timestamp)
        self._size = made.token_size
        sealed = job.rendition + made.appended
        boxes = [Box(stamp.page, stamp.x, stamp.y, stamp.width, stamp.height) for stamp in job.stamps]
        await self._sandbox.examine(sealed, boxes, [*spec.chain, *spec.certificates])
        return sealed


def loaded(certificate: KeyedCertificate) -> tuple[x509.Certificate, object]:
    """Returns a certificate and its key as pyHanko's types."""
    der = certificate.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return x509.Certificate.load(certificate.chain[0]), keys.PrivateKeyInfo.load(der)


class _SameAuthority(TimeStamper):
    """Gives pyHanko timestamps from the authority that Zegel uses."""

    def __init__(self, authority: LocalTimestampAuthority) -> None:
        super().__init__(include_nonce=True)  # type: ignore[no-untyped-call]
        self._authority = authority

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        return tsp.TimeStampResp.load(self._authority.respond(req.dump()))


def floor(authority: DevelopmentAuthority) -> Callable[[bytes], None]:
    """Returns a function that seals with bare pyHanko."""
    certificate, key = loaded(authority.seal)
    chain = [x509.Certificate.load(each) for each in (*authority.seal.chain, *authority.timestamp.chain)]
    roots = [each for each in chain if each.self_issued]
    registry = SimpleCertificateStore()
    registry.register_multiple(chain)
    signer = SimpleSigner(signing_cert=certificate, signing_key=key, cert_registry=registry)
    answer = answer_about_seal(authority)
    stamper = _SameAuthority(LocalTimestampAuthority(authority.timestamp))

    def seal(pdf: bytes) -> None:
        context = ValidationContext(
            trust_roots=roots,
            other_certs=chain,
            crls=[crl.CertificateList.load(each) for each in authority.crls],
            ocsps=[ocsp.OCSPResponse.load(answer)],
            allow_fetching=False,
            revocation_mode="require",
        )
        metadata = PdfSignatureMetadata(
            field_name="Seal",
            md_algorithm="sha256",
            certify=True,
            docmdp_permissions=MDPPerm.NO_CHANGES,
            subfilter=SigSeedSubFilter.PADES,
            embed_validation_info=True,
            use_pades_lta=True,
            validation_context=context,
        )
        output = io.BytesIO()
        pdf_signer = PdfSigner(metadata, signer, timestamper=stamper)
        asyncio.run(pdf_signer.async_sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf)), output=output))

    return seal


async def measure(rounds: int) -> dict[int, tuple[list[float], list[float], float]]:
    """Returns, by number of pages, the seconds of Zegel's rounds, of the floor's rounds, and of the rendition."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        authority = DevelopmentAuthority.open(Path(folder))
        bare = floor(authority)
        async with Sandbox() as sandbox:
            ours = Ours(sandbox, authority)
            for pages in PAGES:
                original = document(pages)
                began = time.perf_counter()
                rendition = (await sandbox.render(original)).data
                rendering = time.perf_counter() - began
                job = job_of(rendition, pages)
                await ours.seal(job)
                await asyncio.to_thread(bare, rendition)
                mine, floors = [], []
                for _ in range(rounds):
                    began = time.perf_counter()
                    await ours.seal(job)
                    middle = time.perf_counter()
                    await asyncio.to_thread(bare, rendition)
                    mine.append(middle - began)
                    floors.append(time.perf_counter() - middle)
                found[pages] = (mine, floors, rendering)
                print(
                    f"{pages:4} pages, {len(rendition) / 2**20:5.1f} MiB: {statistics.median(mine) * 1e3:6.1f} ms, "
                    f"pyHanko {statistics.median(floors) * 1e3:6.1f} ms; rendition {rendering * 1e3:.0f} ms",
                    flush=True,
                )
    return found


def main() -> None:
    """Measures and prints."""
    options = _run.arguments(str(__doc__).partition("\n")[0])
    found = asyncio.run(measure(ROUNDS[options.size]))
    by_pages = {
        str(pages): {
            "ratio": _run.rounded(statistics.median(mine) / statistics.median(floors)),
            "ms": _run.rounded(statistics.median(mine) * 1e3, 1),
            "pyhanko_ms": _run.rounded(statistics.median(floors) * 1e3, 1),
            "rendition_ms": _run.rounded(rendering * 1e3, 1),
        }
        for pages, (mine, floors, rendering) in found.items()
    }
    first = sorted(found[PAGES[0]][0])
    _run.finish(
        ratio_to_pyhanko=max(each["ratio"] for each in by_pages.values()),
        p95_ms=_run.rounded(first[int(len(first) * 0.95)] * 1e3, 1),
        by_pages=by_pages,
    )


if __name__ == "__main__":
    main()
