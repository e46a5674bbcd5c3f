"""What of a PDF's navigation its rendition keeps: links, outline, page labels, language."""

from io import BytesIO
from typing import Any

import pikepdf
import pytest

from support.pdfs import edited, one_page
from zegel_server.pdf.sandbox.client import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="session")

BLANK = one_page(b"")


def opened(pdf: bytes) -> pikepdf.Pdf:
    return pikepdf.open(BytesIO(pdf))


def with_navigation(pdf: pikepdf.Pdf) -> None:
    pdf.pages.append(pdf.pages[0])
    two = pdf.pages[1].obj
    goto = pikepdf.Dictionary(S=pikepdf.Name.GoTo, D=pikepdf.String("chapter"))
    named = pikepdf.Array([pikepdf.String("chapter"), pikepdf.Dictionary(D=[two, pikepdf.Name.XYZ, 10, 20, None])])
    pdf.Root.Names = pikepdf.Dictionary(
        Dests=pikepdf.Dictionary(Kids=[pdf.make_indirect(pikepdf.Dictionary(Names=named))])
    )
    links: list[dict[str, Any]] = [
        {"A": goto},
        {"Dest": pikepdf.Array([two, pikepdf.Name.Fit])},
        {"Dest": pikepdf.String("no such place")},
        {"A": pikepdf.Dictionary(S=pikepdf.Name.GoToR, F="other.pdf", D=[0, pikepdf.Name.Fit])},
        {"A": pikepdf.Dictionary(S=pikepdf.Name.URI, URI="mailto:ana@example.com")},
    ]
    pdf.pages[0].obj.Annots = pikepdf.Array(
        [
            pikepdf.Dictionary(
                Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Link, Rect=[0, 0, 9, 9], Border=[0, 0, 0], **link
            )
            for link in links
        ]
    )
    with pdf.open_outline() as outline:
        chapter = pikepdf.OutlineItem("Chapter", 1)
        chapter.children.append(pikepdf.OutlineItem("Section", action=goto))
        outline.root.append(chapter)
    pdf.Root.PageLabels = pikepdf.Dictionary(
        Nums=[0, pikepdf.Dictionary(S=pikepdf.Name.r), 1, pikepdf.Dictionary(P="A-")]
    )
    pdf.Root.Lang = "de-AT"


async def test_links_outline_labels_and_language_are_kept_and_told(sandbox: Sandbox) -> None:
    made = await sandbox.render(edited(BLANK, with_navigation))
    facts = made.facts
    assert (facts.has_outline, facts.has_page_labels, facts.link_count, facts.language) == (True, True, 3, "de-AT")
    with opened(made.data) as pdf:
        one, two, web = pdf.pages[0].obj.Annots.as_list()
        assert [one.Dest[0].objgen, two.Dest[0].objgen] == [pdf.pages[1].obj.objgen] * 2
        assert list(one.Dest)[1:4] == [pikepdf.Name.XYZ, 10, 20]
        assert str(web.A.URI) == "mailto:ana@example.com"
        with pdf.open_outline() as outline:
            (chapter,) = outline.root
            assert (chapter.title, chapter.children[0].title) == ("Chapter", "Section")
            destination = chapter.children[0].destination
            assert isinstance(destination, pikepdf.Array)
            assert destination[0].objgen == pdf.pages[1].obj.objgen
        assert [page.label for page in pdf.pages] == ["i", "A-"]
        assert str(pdf.Root.Lang) == "de-AT"
