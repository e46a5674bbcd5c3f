"""A small run of the campaign of renditions; large ones are made by hand."""

import re

import pytest

from fuzz import fuzz_renditions as fuzzer
from fuzz.pdf_generator import Grown, grow
from support.pdfs import one_page
from support.tools import tool


@pytest.fixture(scope="module")
def poppler() -> None:
    tool("pdftoppm")
    tool("pdftotext")


def test_a_file_grows_again_from_its_seed() -> None:
    assert grow(7) == grow(7)
    assert grow(7) != grow(8)


def test_files_have_all_that_is_strange() -> None:
    features = {feature for seed in range(150) for feature in grow(seed).features}
    assert len(features) > 50
    for wanted in (
        "layer off",
        "soft mask",
        "glyphs with own resources",
        "written: streams",
        "field password",
        "noise",
    ):
        assert wanted in features
    kinds = {re.sub(r" .*", "", feature) for feature in features}
    assert {"form", "page", "layer", "written:", "annotation", "left", "closes", "content"} <= kinds


@pytest.mark.slow
def test_renditions_of_grown_files_look_like_them(poppler: None) -> None:
    result = fuzzer.fuzz(25, 7, fuzzer.server())
    assert result.wrong == []
    assert result.caught == []
    assert result.done["made"] > 15


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (b"", "blank"),
        (b"BT /F 40 Tf 20 20 Td (SEEN) Tj ET 0 0 300 150 re f", "different"),
        (b"BT /F 40 Tf 20 20 Td (SEEN) Tj 0 100 Td (HIDDEN) Tj ET", "a hidden word shown"),
        (b"0 0 300 150 re f", "a word lost"),
    ],
)
def test_what_looks_otherwise_is_found_by_both_renderers(poppler: None, change: bytes, what: str) -> None:
    def file(content: bytes) -> bytes:
        entries = b"/MediaBox [0 0 300 300] /Resources << /Font << /F 5 0 R >> >>"
        return one_page(content, entries, b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")

    original = file(b"BT /F 40 Tf 20 20 Td (SEEN) Tj ET")
    grown = Grown(original, ("SEEN",), ("HIDDEN",), frozenset())
    assert fuzzer.judge(grown, original, poppler=True) == []
    assert {f"{name}: {what}" for name in ("pdfium", "poppler")} <= set(fuzzer.judge(grown, file(change), poppler=True))
