"""One rendition of several: each page as it was, its outline, labels and links with it; and never too much for one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from PIL import Image, ImageChops

from support.completing import completed, make_job, opened, pdfium, poppler_pages, rendition_of
from support.pdfs import edited, ink, one_page, shown_text, stream
from support.sealed import make_pdf
from support.shared import real_pdfs
from zegel.evidence.sealed_file.rendition import check_rendition
from zegel.evidence.sealed_file.revisions import read_revisions
from zegel.evidence.sealed_file.syntax import FormError
from zegel_server.pdf.model import Stamp
from zegel_server.pdf.pages import merging
from zegel_server.pdf.pages.rendition import render
from zegel_server.pdf.refusal import Refusal, RefusedError

NAMED = ["One", "Two", "Three"]


def furnished(name: str, pages: int = 2, language: str | None = None) -> bytes:
    """A rendition whose outline, labels and links all lead within it."""

    def change(pdf: pikepdf.Pdf) -> None:
        last = pdf.pages[-1].obj
        link: dict[str, Any] = {"Type": pikepdf.Name.Annot, "Subtype": pikepdf.Name.Link, "Rect": [0, 0, 99, 99]}
        pdf.pages[0].obj.Annots = pikepdf.Array(
            [
                pikepdf.Dictionary(**link, Dest=pikepdf.Array([last, pikepdf.Name.XYZ, 1, 2, None])),
                pikepdf.Dictionary(**link, A=pikepdf.Dictionary(S=pikepdf.Name.URI, URI=f"https://example.com/{name}")),
            ]
        )
        with pdf.open_outline() as outline:
            chapter = pikepdf.OutlineItem(f"{name} first", 0)
            chapter.children.append(pikepdf.OutlineItem(f"{name} within", pages - 1))
            outline.root.extend([chapter, pikepdf.OutlineItem(f"{name} last", pages - 1)])
        pdf.Root.PageLabels = pikepdf.Dictionary(Nums=[0, pikepdf.Dictionary(P=f"{name}-", S=pikepdf.Name.D)])
        if language is not None:
            pdf.Root.Lang = pikepdf.String(language)

    return rendition_of(edited(make_pdf(name, pages), change))


def leads_to(pdf: pikepdf.Pdf, item: pikepdf.OutlineItem) -> int:
    """Which page an outline's item leads to."""
    assert isinstance(item.destination, pikepdf.Array)
    return [page.obj.objgen for page in pdf.pages].index(item.destination[0].objgen)


def number_of_pages(pdf: bytes) -> int:
    with opened(pdf) as found:
        return len(found.pages)


def test_pages_follow_one_another_and_stamps_find_theirs() -> None:
    parts = [rendition_of(make_pdf(name, pages)) for name, pages in zip(NAMED, (1, 3, 2), strict=True)]
    merged = merging.merge(parts)
    told = [shown_text(merged, page).strip() for page in range(6)]
    assert told == [
        f"{name}, page {page + 1}" for name, pages in zip(NAMED, (1, 3, 2), strict=True) for page in range(pages)
    ]
    (revision,) = read_revisions(merged)
    assert check_rendition(revision.objects) == 6
    job = make_job(make_pdf())
    stamp = Stamp(4, 72, 300, 90, 20, "text", "here")
    out = completed(type(job)(merged, [stamp], job.audit, job.files, job.time))
    assert ["here" in shown_text(out, page) for page in range(6)] == [False] * 3 + [True] + [False] * 2


def test_one_rendition_merged_is_itself_and_merging_is_the_same_in_steps() -> None:
    one, two, three = (furnished(name) for name in NAMED)
    plain = [rendition_of(make_pdf(name, 2)) for name in NAMED]
    assert merging.merge(plain[:1]) == plain[0]
    assert merging.merge([merging.merge(plain[:2]), plain[2]]) == merging.merge(plain)
    assert merging.merge([one, two, three]) == merging.merge([one, two, three])
    assert render(merging.merge([one, two, three])).facts.link_count == 6


def test_outlines_labels_and_links_lead_where_they_led() -> None:
    parts = [furnished(name) for name in NAMED]
    merged = merging.merge([parts[0], rendition_of(make_pdf("Plain", 2)), *parts[1:]])
    with opened(merged) as pdf:
        place = {page.obj.objgen: index for index, page in enumerate(pdf.pages)}
        with pdf.open_outline() as outline:
            told = [(item.title, leads_to(pdf, item)) for item in outline.root]
            within = [(item.children[0].title, leads_to(pdf, item.children[0])) for item in outline.root[::2]]
        assert told == [
            *(
                ("One first", 0),
                ("One last", 1),
                ("Two first", 4),
                ("Two last", 5),
                ("Three first", 6),
                ("Three last", 7),
            ),
        ]
        assert within == [("One within", 1), ("Two within", 5), ("Three within", 7)]
        assert [page.label for page in pdf.pages] == [
            *("One-1", "One-2", "1", "2", "Two-1", "Two-2", "Three-1", "Three-2"),
        ]
        inner, web = pdf.pages[4].obj.Annots.as_list()
        assert place[inner.Dest[0].objgen] == 5
        assert str(web.A.URI) == "https://example.com/Two"
        assert int(pdf.Root.Outlines.Count) == 9  # those within are shown as well: what they lie in is open


@pytest.mark.parametrize(
    ("languages", "told"),
    [(("de", "de"), "de"), (("de", "fr"), None), (("de", None), None), ((None, None), None)],
)
def test_a_language_is_told_where_all_agree(languages: Sequence[str | None], told: str | None) -> None:
    parts = [furnished(name, 2, language) for name, language in zip(NAMED, languages, strict=False)]
    with opened(merging.merge(parts)) as pdf:
        assert (str(pdf.Root.Lang) if "/Lang" in pdf.Root else None) == told


def test_labels_begin_anew_where_a_document_has_none() -> None:
    def roman(pdf: pikepdf.Pdf) -> None:
        pdf.Root.PageLabels = pikepdf.Dictionary(Nums=[0, pikepdf.Dictionary(S=pikepdf.Name.r, St=4)])

    plain = rendition_of(make_pdf("Plain", 2))
    labelled = rendition_of(edited(make_pdf("Roman", 2), roman))
    with opened(merging.merge([plain, labelled, plain])) as pdf:
        assert [page.label for page in pdf.pages] == ["1", "2", "iv", "v", "1", "2"]
    with opened(merging.merge([plain, plain])) as pdf:
        assert "/PageLabels" not in pdf.Root


def shared_form(ink_of: bytes) -> bytes:
    """Two pages that draw the same form: its object has the same number in each such rendition."""

    def change(pdf: pikepdf.Pdf) -> None:
        pdf.pages.append(pdf.pages[0])

    page = b"/MediaBox [0 0 100 100] /Resources << /XObject << /F 5 0 R >> >>"
    form = stream(ink_of, b"/Type /XObject /Subtype /Form /BBox [0 0 99 99]")
    return rendition_of(edited(one_page(b"/F Do", page, b"", form), change))


def test_what_has_the_same_number_and_name_in_two_documents_is_kept_apart_and_what_is_shared_stays_shared() -> None:
    one, two = shared_form(b"0 0 10 20 re f"), shared_form(b"50 50 20 10 re f")
    merged = merging.merge([one, two])
    assert [ink(merged, page) for page in range(4)] == [(0, 80, 10, 100)] * 2 + [(50, 40, 70, 50)] * 2
    with opened(merged) as pdf:
        forms = [page.obj.Resources.XObject["/F"].objgen for page in pdf.pages]
    assert forms[0] == forms[1] != forms[2] == forms[3]
    assert (
        len(read_revisions(merged)[0].objects)
        == sum(len(read_revisions(part)[0].objects) - 2 for part in (one, two)) + 2
    )


def test_a_document_twice_is_there_twice() -> None:
    part = furnished("One")
    with opened(merging.merge([part, part])) as pdf:
        place = {page.obj.objgen: index for index, page in enumerate(pdf.pages)}
        assert [place[page.obj.Annots[0].Dest[0].objgen] for page in (pdf.pages[0], pdf.pages[2])] == [1, 3]


def test_twenty_documents_are_merged() -> None:
    parts = [furnished(f"Number{index}", pages=1 + index % 3) for index in range(20)]
    merged = merging.merge(parts)
    assert number_of_pages(merged) == sum(number_of_pages(part) for part in parts)
    with opened(merged) as pdf, pdf.open_outline() as outline:
        assert len(outline.root) == 40


def far_apart(one: Image.Image, other: Image.Image) -> bool:
    return one.size != other.size or ImageChops.difference(one, other).getbbox() is not None


@pytest.mark.corpus
def test_real_documents_look_the_same_page_by_page() -> None:
    files = sorted(real_pdfs(), key=lambda path: path.stat().st_size)[20:120:8]
    parts = []
    for path in files:
        try:
            parts.append(rendition_of(path.read_bytes()))
        except RefusedError:
            continue
    assert len(parts) > 0.6 * len(files)
    merged = merging.merge(parts)
    pages = [(part, page) for part in parts for page in range(number_of_pages(part))]
    assert number_of_pages(merged) == len(pages)
    for index, (part, page) in enumerate(pages):
        assert not far_apart(pdfium(part, page, 300, 400), pdfium(merged, index, 300, 400)), (index, page)
    apart = [picture for part in parts for picture in poppler_pages(part, 0, number_of_pages(part) - 1, ("-r", "36"))]
    together = poppler_pages(merged, 0, len(pages) - 1, ("-r", "36"))
    assert not any(far_apart(one, other) for one, other in zip(apart, together, strict=True))


def test_more_pages_or_objects_or_bytes_than_one_file_may_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [rendition_of(make_pdf(name, 3)) for name in NAMED]
    for name, refusal in (("MAX_PAGES", Refusal.TOO_MANY_PAGES), ("MAX_OBJECTS", Refusal.TOO_MANY_OBJECTS)):
        with monkeypatch.context() as patched:
            patched.setattr(merging, name, 8)
            with pytest.raises(RefusedError) as caught:
                merging.merge(parts)
            assert caught.value.refusal is refusal
    monkeypatch.setattr("zegel_server.pdf.canonical.MAX_RENDITION_BYTES", sum(map(len, parts)) // 2)
    with pytest.raises(RefusedError) as caught:
        merging.merge(parts)
    assert caught.value.refusal is Refusal.EXPANDS


@pytest.mark.parametrize("what", ["an original", "nothing", "a completed rendition", "cut off"])
def test_what_is_no_rendition_is_not_merged(what: str, tmp_path: Path) -> None:
    whole = rendition_of(make_pdf())
    other = {
        "an original": make_pdf(),
        "nothing": b"",
        "a completed rendition": completed(make_job(make_pdf())),
        "cut off": whole[:-1],
    }[what]
    with pytest.raises(FormError):
        merging.merge([whole, other])
