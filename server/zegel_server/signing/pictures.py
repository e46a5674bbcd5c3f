"""Checks drawn signatures before they are stored, so that one that cannot be drawn is not found only at sealing.

A picture is decoded only in the sandbox, which draws it just as sealing will.
"""

from collections.abc import Iterable
from typing import Final

from zegel_server.errors import InvalidArgument
from zegel_server.pdf.model import Stamp
from zegel_server.pdf.sandbox.client import Sandbox

_SIDE: Final = 200
"""Length in points of the trial box's sides."""


class Pictures:
    """Checks drawn signatures.

    Args:
        sandbox: The PDF sandbox.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def check(self, pictures: Iterable[tuple[str, bytes]]) -> None:
        """Checks that pictures can be drawn.

        Args:
            pictures: Each picture's path in the request, and the picture, whose header was checked before.

        Raises:
            InvalidArgument: One cannot be decoded.
            Unavailable: The sandbox stopped; the same call may go through later.
        """
        known: set[bytes] = set()
        for path, picture in pictures:
            if picture in known:
                continue
            stamp = Stamp(1, 0, 0, _SIDE, _SIDE, "signature", image=picture)
            try:
                await self._sandbox.draw_stamps([stamp])
            except InvalidArgument as error:
                raise InvalidArgument(path, "must be a PNG that can be drawn") from error
            known.add(picture)
