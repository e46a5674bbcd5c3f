"""Drawn signatures, looked at in the real sandbox before they are stored."""

import io

import pytest
from PIL import Image

from zegel_server.errors import InvalidArgument
from zegel_server.pdf.sandbox.client import Sandbox
from zegel_server.signing.field_types import check_png
from zegel_server.signing.pictures import Pictures

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def pictures(sandbox: Sandbox) -> Pictures:
    return Pictures(sandbox)


def png(width: int = 30, height: int = 20, mode: str = "RGBA") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height)).save(out, "PNG")
    return out.getvalue()


async def test_what_can_be_drawn_passes(pictures: Pictures) -> None:
    for picture in (png(), png(1, 1, "1"), png(2_000, 2_000, "P")):
        check_png(picture, "p")
        await pictures.check([("p", picture), ("q", picture)])


@pytest.mark.parametrize("damage", ["cut", "data", "no data", "animation of another size"])
async def test_what_only_looks_like_a_picture_is_refused_by_its_place(pictures: Pictures, damage: str) -> None:
    whole = png(300, 200)
    broken = {
        "cut": whole[: len(whole) // 2],
        "data": whole[:45] + b"\xff" * 40 + whole[85:],
        "no data": whole[:33],
        "animation of another size": whole[:33] + b"\0\0\0\x04IDAT\0\0\0\0\0\0\0\0",
    }[damage]
    check_png(broken, "p")  # its header says nothing wrong
    with pytest.raises(InvalidArgument) as caught:
        await pictures.check([("values[0].mark.drawn_png", png()), ("values[1].mark.drawn_png", broken)])
    assert caught.value.metadata["field"] == "values[1].mark.drawn_png"
