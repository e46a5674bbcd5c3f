"""Whole files: other people's programs open what we write and show it, and what is hostile costs its length."""

import subprocess
import sys
from pathlib import Path

import pikepdf
import pypdfium2  # type: ignore[import-untyped]
import pytest

from support.effort import Effort
from support.forging import World, make_world
from support.small_files import make_rendition, make_small
from support.tools import tool
from zegel.evidence.sealed_file.overlays import Box
from zegel.evidence.sealed_file.reading import MAX_FILE_BYTES, read_sealed_file
from zegel.evidence.sealed_file.revisions import HEADER, write_first
from zegel.evidence.sealed_file.syntax import FormError, Name, Ref, Value

BOXES = {1: [Box(1, 100_000, 100_000, 90_000, 30_000)], 2: [Box(2, 0, 0, 9_000, 9_000)]}


def test_a_file_is_its_revisions() -> None:
    pdf = make_small(3, BOXES)
    file = read_sealed_file(pdf)
    assert bytes(file.rendition) == make_rendition(3)
    assert file.pages == 3
    assert len(file.ends) == 3
    assert set(file.completion.boxes) == {box for each in BOXES.values() for box in each}


@pytest.mark.parametrize("count", [1, 2])
def test_a_file_without_a_timestamp_is_no_sealed_file(count: int) -> None:
    pdf = make_small()
    with pytest.raises(FormError, match="fewer revisions"):
        read_sealed_file(pdf[: read_sealed_file(pdf).ends[count - 1]])


# ---------------------------------------------------------------------------------------------- other people's programs


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def files(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A sealed file, the same renewed and made anew by somebody else, and one made by hand."""
    folder = tmp_path_factory.mktemp("files")
    pdf = world.sealed.pdf
    made = {
        "sealed": pdf,
        "renewed": world.forger.renewed(world.forger.renewed(pdf)),
        "restamped": world.forger.restamped(pdf, room=9_000),
        "rendition": pdf[: world.file.ends[0]],
        "small": make_small(3, BOXES),
    }
    for name, data in made.items():
        (folder / f"{name}.pdf").write_bytes(data)
    return {name: folder / f"{name}.pdf" for name in made}


def test_qpdf_finds_nothing_to_say(files: dict[str, Path]) -> None:
    for path in files.values():
        done = subprocess.run([tool("qpdf"), "--check", path], capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in (done.stdout + done.stderr).lower()


def test_pdfsig_finds_the_seal_and_each_timestamp(files: dict[str, Path]) -> None:
    for name, count in (("sealed", 2), ("renewed", 4), ("restamped", 2)):
        done = subprocess.run([tool("pdfsig"), "-nocert", files[name]], capture_output=True, check=False, text=True)
        assert done.stdout.count("Signature #") == count, done.stdout
        assert done.stdout.count("Signature is Valid") == 1, done.stdout  # it checks no timestamps
        assert done.stdout.count("Total document signed") == 1


def test_pikepdf_and_pdfium_open_them(files: dict[str, Path]) -> None:
    for name, pages in (("sealed", 2), ("renewed", 2), ("restamped", 2), ("rendition", 1), ("small", 4)):
        with pikepdf.open(files[name]) as opened:
            assert not opened.check_pdf_syntax()
            assert len(opened.pages) == pages
        with pypdfium2.PdfDocument(files[name]) as document:
            assert len(document) == pages


def pdfium(path: Path, folder: Path) -> list[bytes]:
    del folder
    with pypdfium2.PdfDocument(path) as document:
        return [bytes(page.render(scale=1).buffer) for page in document]


def poppler(path: Path, folder: Path) -> list[bytes]:
    subprocess.run([tool("pdftoppm"), "-r", "50", path, folder / "p"], check=True, capture_output=True)
    return [each.read_bytes() for each in sorted(folder.glob("p-*.ppm"))]


def mupdf(path: Path, folder: Path) -> list[bytes]:
    subprocess.run([tool("mutool"), "draw", "-q", "-r", "50", "-o", folder / "p-%d.ppm", path], check=True)
    return [each.read_bytes() for each in sorted(folder.glob("p-*.ppm"))]


@pytest.mark.parametrize("renderer", [pdfium, poppler, mupdf])
def test_what_anybody_may_make_of_a_file_shows_the_same(
    files: dict[str, Path], tmp_path: Path, renderer: object
) -> None:
    shown = {}
    for name in ("sealed", "renewed", "restamped"):
        (tmp_path / name).mkdir()
        shown[name] = renderer(files[name], tmp_path / name)  # type: ignore[operator]
    assert len(shown["sealed"]) == 2
    assert shown["sealed"] == shown["renewed"] == shown["restamped"]


# -------------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    "pdf",
    [
        HEADER + b"1 0 obj\n<" + b"41" * 2**25 + b">\nendobj\n",
        HEADER + b"1 0 obj\n" + b"[" * 2**25,
        HEADER + b"1 0 obj\n<< /Length 99999999 >>\nstream\n" + bytes(2**25),
        HEADER + b"1 0 obj\n" * 2**21,
        HEADER + b"".join(b"%d 0 obj\n<< >>\nendobj\n" % number for number in range(1, 50_000)),
        b"%PDF-1.7\n" + b"%%EOF\n" * 2**20,
        HEADER * 2**20,
    ],
    ids=["hex", "nested", "stream", "heads", "objects", "ends", "headers"],
)
def test_a_hostile_file_is_refused_soon(pdf: bytes) -> None:
    with Effort() as effort, pytest.raises(FormError):
        read_sealed_file(pdf)
    assert effort.seconds < 6


def test_kids_within_kids_are_refused_at_once() -> None:
    levels = 30
    tree: list[Value] = [
        {"Type": Name("Pages"), "Count": 1, "Kids": [Ref(number + 1)] * 40} for number in range(2, 2 + levels)
    ]
    pdf = write_first([{"Type": Name("Catalog"), "Pages": Ref(2)}, *tree, {"Type": Name("Page")}]).data
    with Effort() as effort, pytest.raises(FormError):
        read_sealed_file(pdf)
    assert effort.seconds < 1


def test_a_file_beyond_the_bound_is_refused_unread() -> None:
    with pytest.raises(FormError, match="larger than 256 MiB"):
        read_sealed_file(bytes(MAX_FILE_BYTES + 1))


def test_a_full_file_takes_no_more_than_twice_its_length() -> None:
    """Values are not held: 600,000 objects of 80 bytes would take a gigabyte."""
    code = (
        "from zegel.evidence.sealed_file.revisions import *; from zegel.evidence.sealed_file.syntax import *\n"
        "import resource\n"
        "data = write_first([{'Type': Name('X'), 'Next': Ref(1), 'K': [1, 2, 3, 4]}] * 20_000).data\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "read_revisions(data)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / len(data))"
    )
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert float(done.stdout) < 10
