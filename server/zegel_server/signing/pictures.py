"""Looking at drawn signatures before they are stored: what cannot be drawn must not be found out when all have signed.

A picture is decoded nowhere but in the sandbox: it is stamped onto an empty page there, just as sealing will do it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from zegel_server.errors import InvalidArgument
from zegel_server.pdf.model import PrepareJob, Stamp
from zegel_server.pdf.workshop import Workshop

_SIDE: Final = 200
"""Points of the empty page's sides."""


def _empty_page() -> bytes:
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] >>" % (_SIDE, _SIDE),
    )
    pdf, places = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(pdf))
        pdf += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(pdf)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    pdf += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    pdf += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(pdf)


_EMPTY_PAGE: Final = _empty_page()


class Pictures:
    """Looks at drawn signatures.

    Args:
        workshop: Has the sandbox.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def check(self, pictures: Iterable[tuple[str, bytes]]) -> None:
        """Demands that pictures can be drawn.

        Args:
            pictures: Each picture's path in the request, and the picture. Their headers were checked before.

        Raises:
            InvalidArgument: One cannot be decoded.
            Unavailable: The sandbox stopped; the same call may go through later.
        """
        known: set[bytes] = set()
        for path, picture in pictures:
            if picture in known:
                continue
            stamp = Stamp(0, 1, 0, 0, _SIDE, _SIDE, "signature", image=picture)
            job = PrepareJob([_EMPTY_PAGE], [stamp], None, [], time=datetime.now(UTC))
            try:
                await self._workshop.prepare(job)
            except InvalidArgument as error:
                raise InvalidArgument(path, "must be a PNG that can be drawn") from error
            known.add(picture)
