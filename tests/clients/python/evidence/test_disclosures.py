"""Every version of the disclosure is readable for as long as a trail may name it."""

from pathlib import Path

from zegel.evidence.disclosures import DISCLOSURES, find_disclosure

PUBLISHED = {
    1: "833f83d519278db3a8079adbb3d08620fc81f3da86b8342e67da6e1ef33fac9f",
    2: "dd48179bac1320e42443acc6c4438fee10bbb719a83de884ad25c4b5ec6cbb6e",
}
"""What trails name: a text that was published never changes."""

PAGE = Path(__file__).parents[4] / "docs/disclosure.md"


def test_a_text_that_was_published_stays_as_it_is() -> None:
    assert {each.version: each.sha256 for each in DISCLOSURES} == PUBLISHED
    assert [each.version for each in DISCLOSURES] == list(range(1, len(DISCLOSURES) + 1))


def test_a_version_is_found_by_what_an_event_names() -> None:
    for each in DISCLOSURES:
        assert find_disclosure(each.sha256) is each
    for other in ("0" * 64, "", None, 1, ["x"]):
        assert find_disclosure(other) is None


def test_the_newest_says_who_is_seen_and_what_is_shown() -> None:
    text = DISCLOSURES[-1].text
    for part in ("they are that application's", "as its statement", "to everybody who has it"):
        assert part in text


def test_the_documentation_has_them_word_for_word() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for each in DISCLOSURES:
        assert f"```text\n{each.text}```" in page
        assert each.sha256 in page
