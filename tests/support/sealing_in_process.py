"""Seals without a sandbox, for tests that make sealed files of documents that they trust."""

import asyncio
from collections.abc import Callable

from zegel_server.pdf.completion.assembling import Gap, Prepared, Sealed, SealSpec, SecondVisit, seal
from zegel_server.pdf.completion.sealing import finish, prepare
from zegel_server.pdf.model import CompletionJob


def seal_rendition(
    job: CompletionJob, spec: SealSpec, sign: Callable[[bytes], bytes], timestamp: Callable[[bytes], bytes]
) -> Sealed:
    """Complete a rendition and seal it in this process, without a sandbox.

    Args:
        job: The rendition, and what is added to it.
        spec: Certificates, revocation data and texts.
        sign: Called once with the bytes to be signed; returns the raw signature.
        timestamp: Called twice, or three times where the size is not known, with a DER ``TimeStampReq``; returns a DER
            ``TimeStampResp``.

    Returns:
        What is to be appended.

    Raises:
        RefusedError: A stamp cannot be drawn.
        FormError: The rendition is not valid, or a token is larger than expected.
        TimestampError: The timestamp was not granted.
    """

    async def signed(data: bytes) -> bytes:
        return sign(data)

    async def stamped(request: bytes) -> bytes:
        return timestamp(request)

    async def prepared(job: CompletionJob, spec: SealSpec) -> Prepared:
        return await asyncio.to_thread(prepare, job, spec)  # it has a loop of its own

    async def finished(visit: SecondVisit) -> Gap:
        return finish(visit)

    return asyncio.run(seal(job, spec, signed, stamped, prepare=prepared, finish=finished))
