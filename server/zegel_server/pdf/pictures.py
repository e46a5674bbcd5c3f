"""What the header of a drawn mark says of it. The mark itself is decoded only in the sandbox."""

import struct
from typing import Final

from zegel_server.pdf.limits import PIXELS_PER_CHARACTER

_PNG: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"


def png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, as the header has them (PNG, third edition, 5.2 and 11.2.1).

    Args:
        data: The picture.

    Returns:
        ``None`` for what does not begin as a PNG.
    """
    if not data.startswith(_PNG) or len(data) < len(_PNG) + 8:
        return None
    width, height = struct.unpack_from(">II", data, len(_PNG))
    return width, height


def picture_length(data: bytes | None) -> int:
    """As how many characters of text a picture counts: those that take as long to draw.

    Args:
        data: The picture; ``None``, and what is no PNG, count as none.
    """
    width, height = (png_size(data) if data else None) or (0, 0)
    return -(-width * height // PIXELS_PER_CHARACTER)
