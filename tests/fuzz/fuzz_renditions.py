"""Grows strange PDFs, makes their renditions, and looks at both with two renderers: PDFium and poppler.

The looking is not the server's own: it asks, of each page, whether a blurred picture of it changed, whether it went
blank, and whether each grown word that a reader found before is found afterwards, and no hidden one. A page counts as
wrong where a renderer draws original and rendition differently, unless the two renderers see different originals: then
the rendition can look like one of them only.

Run: ``python tests/fuzz/fuzz_renditions.py --count 10000 --seed 1``. It prints one line of JSON and exits 1 if anything
went wrong. What was refused since it looks different, and does so to both renderers, is told as caught. File ``n`` of a
run is ``grow(seed * 1000000 + n)``, so that each can be had again alone.
"""

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT / each) for each in ("server", "clients/python", "tests")]

import pypdfium2  # type: ignore[import-untyped]
from PIL import Image, ImageChops, ImageFilter

from fuzz.pdf_generator import Grown, grow
from zegel_server.pdf.comparison import drawing
from zegel_server.pdf.comparison.file_comparison import compare_rendition
from zegel_server.pdf.model import PageDifference
from zegel_server.pdf.refusal import Refusal, RefusedError

DPI = 40
"""What pages are drawn at: twelve points of print are seven rows."""

LONGEST = 2_000
"""Pixels of the longer side at most; larger pages are drawn smaller."""

BLUR = 2
"""Radius in pixels within which ink may lie elsewhere."""

DIFFERENT = 48
"""Levels, of 255, by which a blurred picture may differ: a hairline that lies a pixel elsewhere has some 20."""

BLANK = 12
"""Levels of range below which a blurred picture shows nothing."""

HANG = 20
"""Seconds of processor time that a rendition may take; and of any time that poppler may."""

LEFT_TO_READERS = (
    *("annotation without appearance", "appearances left to readers", "font not embedded", "form without fields"),
    *("field text", "field choice", "field check", "field password", "box beside the page"),
)
"""What readers draw each in their own way: files with it are asked for words and blankness, not for sameness."""

Pictures = list[Image.Image]


@dataclass
class Result:
    """What became of the files."""

    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    caught: list[tuple[int, str]] = field(default_factory=list)
    wrong: list[tuple[int, str, str]] = field(default_factory=list)

    def note(self, index: int, what: str, told: str = "") -> None:
        """Note what went wrong, and say so at once: a large run takes an hour."""
        self.wrong.append((index, what, told))
        sys.stderr.write(f"{index} {what} {told}\n")

    def catch(self, index: int, what: str) -> None:
        """Note why a rendition was rightly refused."""
        self.caught.append((index, what))
        sys.stderr.write(f"{index} refused, and {what}\n")


class HangError(Exception):
    """Raised when a rendition takes too long."""


@contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    def ring(_number: int, _frame: object) -> None:
        raise HangError

    # Processor time: a machine that is busy with other things is no hang.
    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


# ------------------------------------------------------------------------------------------------------------ renderers


@dataclass(frozen=True, slots=True)
class Seen:
    """What a renderer makes of a file.

    Args:
        pages: Its pages, blurred and grey.
        text: All text that can be copied, without spaces.
    """

    pages: Pictures
    text: str


def by_pdfium(data: bytes) -> Seen | None:
    """Draw a file by PDFium; nothing if it cannot be opened."""
    drawing.preload()
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError:
        return None
    try:
        if document.get_formtype() != pypdfium2.raw.FORMTYPE_NONE:
            document.init_forms()
        pages, text = [], []
        for page in document:
            scale = min(DPI / 72, LONGEST / max(page.get_size()))
            pages.append(_blurred(page.render(scale=scale).to_pil()))
            text.append(page.get_textpage().get_text_range())
    except (pypdfium2.PdfiumError, ValueError, ZeroDivisionError):  # a page without an area
        return None
    finally:
        document.close()
    return Seen(pages, re.sub(r"\s", "", "".join(text)))


def by_poppler(data: bytes) -> Seen | None:
    """Draw a file by poppler; nothing if it cannot be opened, or shows a page of another size than asked for."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.pdf")
        path.write_bytes(data)
        command = ["pdftoppm", "-gray", "-cropbox", "-r", str(DPI), str(path), str(Path(folder, "page"))]
        text = ["pdftotext", "-cropbox", "-raw", str(path), "-"]
        try:
            drawn = subprocess.run(command, capture_output=True, check=False, timeout=HANG)
            read = subprocess.run(text, capture_output=True, check=False, timeout=HANG)
        except subprocess.TimeoutExpired:
            return None
        if drawn.returncode or read.returncode:
            return None
        pages = []
        for picture in sorted(Path(folder).glob("page*.pgm")):
            with Image.open(picture) as opened:
                pages.append(_blurred(opened))
    return Seen(pages, re.sub(r"\s", "", read.stdout.decode(errors="replace")))


def _blurred(picture: Image.Image) -> Image.Image:
    return picture.convert("L").filter(ImageFilter.BoxBlur(BLUR))


def _extremes(picture: Image.Image) -> tuple[int, int]:
    low, high = picture.getextrema()
    return int(cast("float", low)), int(cast("float", high))


def _range(picture: Image.Image) -> int:
    low, high = _extremes(picture)
    return high - low


def _far(one: Image.Image, other: Image.Image) -> bool:
    if abs(one.width - other.width) > 1 or abs(one.height - other.height) > 1:
        return True
    other = other if one.size == other.size else other.resize(one.size)
    return _extremes(ImageChops.difference(one, other))[1] > DIFFERENT


def _differ(one: Seen, other: Seen) -> bool:
    return len(one.pages) != len(other.pages) or any(map(_far, one.pages, other.pages))


# -------------------------------------------------------------------------------------------------------------- judging


def judge(grown: Grown, made: bytes, *, poppler: bool) -> list[str]:
    """What is wrong with a rendition.

    Args:
        grown: The file.
        made: What was made of it.
        poppler: Whether poppler looks as well.
    """
    readers: dict[str, Callable[[bytes], Seen | None]] = {"pdfium": by_pdfium}
    if poppler:
        readers["poppler"] = by_poppler
    looks = {name: (read(grown.data), read(made)) for name, read in readers.items()}
    found = [f"{name} cannot open it" for name, (_before, after) in looks.items() if after is None]
    pairs = {
        name: (before, after) for name, (before, after) in looks.items() if before is not None and after is not None
    }
    guilty = _guilty(pairs)
    for name, (before, after) in pairs.items():
        if any(word in after.text for word in grown.hidden):
            found.append(f"{name}: a hidden word shown")
        # The icon of a note or a reader's own tick is all that some pages show.
        icons = grown.features & {"annotation without appearance", "appearances left to readers"}
        inked = [
            all(map(_has_ink, pages)) for pages in zip(*(seen.pages for seen, _after in pairs.values()), strict=False)
        ]
        blank = any(map(_went_blank, before.pages, after.pages, inked))
        if name in guilty and not icons and blank:
            found.append(f"{name}: blank")
        # Text alone tells little: readers leave out what is tiny, and take apart what overlaps.
        if name in guilty and any(word in before.text and word not in after.text for word in grown.seen):
            found.append(f"{name}: a word lost")
        if name in guilty and not grown.features.intersection(LEFT_TO_READERS):
            found.append(f"{name}: different")
    return found


def _guilty(pairs: dict[str, tuple[Seen, Seen]]) -> list[str]:
    """The readers in whose eyes a rendition differs, unless another's taste explains it.

    Where one reader alone sees a difference, either the readers saw different originals, or they agree on the
    rendition, which then looks like the other's original; both is no fault of the rendition.
    """
    differing = [name for name, (before, after) in pairs.items() if _differ(before, after)]
    others = [pairs[name] for name in pairs if name not in differing]
    return [
        name
        for name in differing
        if all(not _differ(pairs[name][0], before) and _differ(pairs[name][1], after) for before, after in others)
    ]


def _has_ink(picture: Image.Image) -> bool:
    return _range(picture) > 4 * BLANK


def _went_blank(one: Image.Image, other: Image.Image, inked: bool) -> bool:
    """Whether a page shows nothing any more on which all readers saw something."""
    return inked and _has_ink(one) and _range(other) < BLANK


@dataclass
class Maker:
    """Makes renditions.

    Args:
        make: Makes one, or raises ``RefusedError``.
        tried: What it would have been, where it was refused since it looks different.
    """

    make: Callable[[bytes], bytes]
    tried: bytes | None = None


def fuzz(count: int, seed: int, maker: Maker, *, poppler_every: int = 1) -> Result:
    """Grow files, make their renditions and look.

    Args:
        count: How many.
        seed: What repeats the run.
        maker: Makes the renditions.
        poppler_every: Poppler looks at one file of so many; 0 for none.
    """
    result = Result()
    for index in range(seed * 1_000_000, seed * 1_000_000 + count):
        grown = grow(index)
        try:
            maker.tried = None
            with _alarm(HANG):
                made = maker.make(grown.data)
        except RefusedError as refused:
            result.refused[refused.refusal.value] += 1
            if refused.refusal is Refusal.DIFFERS and maker.tried is not None and poppler_every:
                # Two readers see what was refused: it is our fault, which nobody but the sender met.
                for what in judge(grown, maker.tried, poppler=True):
                    result.catch(index, what)
            continue
        except HangError:
            result.note(index, "hang")
            continue
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a defect
            frames = traceback.extract_tb(error.__traceback__)[-3:]
            told = " ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
            result.note(index, "defect", f"{type(error).__name__} {str(error)[:120]} {told}")
            continue
        looked = bool(poppler_every) and index % poppler_every == 0
        result.done["made"] += 1
        result.done["looked at by poppler"] += looked
        found = judge(grown, made, poppler=looked)
        if found and poppler_every and not looked:
            found = judge(grown, made, poppler=True)  # which tells a fault from one reader's taste
        for what in found:
            result.note(index, what)
    return result


def server() -> Maker:
    """What makes the server's renditions, loaded as the sandbox loads it."""
    from zegel_server.pdf.pages import rendition  # noqa: PLC0415 - takes a second
    from zegel_server.pdf.sandbox import child  # noqa: PLC0415 - the same

    child.preload()
    maker = Maker(lambda data: rendition.render(data).data)

    def noting(original: bytes, made: bytes) -> tuple[PageDifference, ...]:
        if maker.tried is None:
            maker.tried = made
        return compare_rendition(original, made)

    setattr(rendition, compare_rendition.__name__, noting)
    return maker


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=1_000, help="files to grow")
    parser.add_argument("--seed", type=int, default=1, help="what repeats the run")
    parser.add_argument("--poppler-every", type=int, default=5, help="poppler looks at one file of so many")
    parser.add_argument("--save", type=Path, help="folder for the files that went wrong")
    options = parser.parse_args(arguments)
    every = options.poppler_every if shutil.which("pdftoppm") else 0
    start = time.perf_counter()
    result = fuzz(options.count, options.seed, server(), poppler_every=every)
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        for index in {each[0] for each in result.wrong} | {each[0] for each in result.caught}:
            (options.save / f"{index}.pdf").write_bytes(grow(index).data)
    summary = {
        "files": options.count,
        "wrong": len({index for index, _what, _told in result.wrong}),
        "by_kind": dict(sorted(Counter(what for _index, what, _told in result.wrong).items())),
        "caught": dict(sorted(Counter(what for _index, what in result.caught).items())),
        "done": dict(sorted(result.done.items())),
        "refused": dict(sorted(result.refused.items())),
        "seed": options.seed,
        "seconds": round(time.perf_counter() - start, 1),
    }
    sys.stdout.write(json.dumps(summary) + "\n")
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
