"""What is filled in, tried in the real sandbox before it is stored: whether it can be drawn, and whether it shows."""

import io
import struct
import zlib

import pytest
from PIL import Image, ImageDraw

from zegel_server.errors import InvalidArgument
from zegel_server.pdf.model import Stamp, StampKind, Trial
from zegel_server.pdf.refusal import Refusal
from zegel_server.pdf.sandbox.client import Sandbox
from zegel_server.pdf.trials import Trials
from zegel_server.signing.field_types import check_png

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def trials(sandbox: Sandbox) -> Trials:
    return Trials(sandbox)


def saved(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def png(width: int = 30, height: int = 20, mode: str = "RGB") -> bytes:
    return saved(Image.new(mode, (width, height)))


def scribble(mode: str, paper: float | tuple[int, ...], ink: float | tuple[int, ...]) -> Image.Image:
    """A line of two pixels across a picture of 300 by 100."""
    picture = Image.new(mode, (300, 100), paper)
    ImageDraw.Draw(picture).line((10, 80, 290, 20), ink, 2)
    return picture


def speck() -> bytes:
    """One dark pixel among four million."""
    picture = Image.new("L", (2_000, 2_000), 255)
    picture.putpixel((1_000, 1_000), 0)
    return saved(picture)


def grey16(paper: int, ink: int, clear: int | None = None) -> bytes:
    """A scribble in greys of 16 bits."""
    row = [[ink if 45 <= x <= 55 else paper for x in range(100)] for _y in range(40)]
    raw = b"".join(b"\0" + struct.pack(">100H", *line) for line in row)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 100, 40, 16, 0, 0, 0, 0))]
    if clear is not None:
        chunks.append((b"tRNS", struct.pack(">H", clear)))
    chunks += [(b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def mark(picture: bytes = b"", text: str = "", kind: StampKind = "signature") -> Stamp:
    return Stamp(1, 0, 0, 160, 40, kind, text, picture or None, "Ana\n2026")


async def test_what_can_be_drawn_passes(trials: Trials) -> None:
    for picture in (png(), png(1, 1, "1"), png(2_000, 2_000, "P")):
        check_png(picture, "p")
        await trials.check_stamps([("p", mark(picture)), ("q", mark(picture))])


@pytest.mark.parametrize("damage", ["cut", "data", "no data", "animation of another size"])
async def test_what_only_looks_like_a_picture_is_refused_by_its_place(trials: Trials, damage: str) -> None:
    whole = png(300, 200)
    broken = {
        "cut": whole[: len(whole) // 2],
        "data": whole[:45] + b"\xff" * 40 + whole[85:],
        "no data": whole[:33],
        "animation of another size": whole[:33] + b"\0\0\0\x04IDAT\0\0\0\0\0\0\0\0",
    }[damage]
    check_png(broken, "p")  # its header says nothing wrong
    with pytest.raises(InvalidArgument) as caught:
        await trials.check_stamps(
            [("values[0].mark.drawn_png", mark(png())), ("values[1].mark.drawn_png", mark(broken))]
        )
    assert caught.value.metadata["field"] == "values[1].mark.drawn_png"


CLEAR, WHITE, PALE, INK = (0, 0, 0, 0), (255, 255, 255, 255), (244, 246, 250, 255), (20, 30, 70, 255)

UNSEEN = {
    "clear": saved(Image.new("RGBA", (300, 100), CLEAR)),
    "white": saved(Image.new("RGB", (300, 100), "white")),
    "white on clear": saved(scribble("RGBA", CLEAR, WHITE)),
    "pale on white": saved(scribble("RGBA", WHITE, PALE)),
    "ink that hardly covers": saved(scribble("RGBA", CLEAR, (*INK[:3], 12))),
    "white in 16 bits": grey16(65535, 65535),
    "clear in 16 bits": grey16(0, 0, clear=0),
    "one dark pixel on white": speck(),
}


@pytest.mark.parametrize("kind", ["signature", "initials"])
@pytest.mark.parametrize("name", UNSEEN)
async def test_a_picture_that_nobody_sees_is_no_mark(trials: Trials, name: str, kind: StampKind) -> None:
    with pytest.raises(InvalidArgument, match="can be seen") as caught:
        await trials.check_stamps([("values[0].mark.drawn_png", mark(UNSEEN[name], kind=kind))])
    assert caught.value.metadata["field"] == "values[0].mark.drawn_png"


@pytest.mark.parametrize("kind", ["signature", "initials"])
async def test_a_picture_that_is_seen_is_a_mark(trials: Trials, kind: StampKind) -> None:
    seen = {
        "ink on white": saved(scribble("RGB", (255, 255, 255), INK[:3])),
        "ink on clear": saved(scribble("RGBA", CLEAR, INK)),
        "light blue": saved(scribble("RGB", (255, 255, 255), (90, 150, 230))),
        "16 bits": grey16(65535, 2000),
        "16 bits on clear": grey16(40000, 2000, clear=40000),
        "dark paper": saved(scribble("L", 30, 255)),
    }
    for name, picture in seen.items():
        await trials.check_stamps([(name, mark(picture, kind=kind))])


@pytest.mark.parametrize(
    "text", ["\u200b", "\u2060\u200d", "\u3164", "\u2800 \u00a0", "\u034f", "\ufe0f", "\U000e0041"]
)
async def test_a_text_that_nobody_sees_is_refused(trials: Trials, text: str) -> None:
    for stamp in (mark(text=text), mark(text=text, kind="initials"), mark(text=text, kind="text")):
        with pytest.raises(InvalidArgument, match="can be seen"):
            await trials.check_stamps([("values[0].mark.typed", stamp)])
    with pytest.raises(InvalidArgument, match="can be seen") as caught:
        await trials.check_texts([("title", "Lease"), ("signers[0].name", text)])
    assert caught.value.metadata["field"] == "signers[0].name"


@pytest.mark.parametrize("text", ["a\U00012000b", "\ue000", "Ana \U0010fffd", "\u0378"])
async def test_what_no_font_has_is_refused_by_its_number(trials: Trials, text: str) -> None:
    [number] = [f"U+{ord(char):04X}" for char in text if not char.isascii()]
    with pytest.raises(InvalidArgument, match=f"cannot be drawn: {number.replace('+', '.')}"):
        await trials.check_texts([("title", text)])
    with pytest.raises(InvalidArgument, match="cannot be drawn"):
        await trials.check_stamps([("values[0].mark.typed", mark(text=text))])


async def test_what_has_no_letters_and_still_shows_passes(trials: Trials) -> None:
    for text in ("...", "-", "\u2713", "\U0001f600", "\u05d0\u0301"):
        await trials.check_texts([("title", text)])
        await trials.check_stamps([("t", mark(text=text)), ("t", mark(text=text, kind="text"))])


class Counting:
    """A sandbox that passes days in boxes of 10 points and more, and says how many stamps it was asked about."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def try_stamps(self, stamps: list[Stamp]) -> list[Trial]:
        self.asked.append(len(stamps))
        return [Trial("" if stamp.height >= 10 else Refusal.SMALL.value, "") for stamp in stamps]


def day(height: float, kind: StampKind = "date") -> tuple[str, Stamp]:
    return "fields[0]", Stamp(1, 0.0, 0.0, 80.0, height, kind, "2026-11-28 UTC")


async def test_a_day_in_a_box_of_one_size_is_tried_once_and_one_that_does_not_fit_each_time() -> None:
    sandbox = Counting()
    trials = Trials(sandbox)
    for _ in range(2):
        await trials.check_stamps([day(12.0), day(12.0)])
    await trials.check_stamps([day(12.0), day(14.0)])
    assert sandbox.asked == [1, 1]
    for _ in range(2):
        with pytest.raises(InvalidArgument):
            await trials.check_stamps([day(14.0), day(5.0)])
    assert sandbox.asked == [1, 1, 1, 1]
