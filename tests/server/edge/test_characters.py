"""Which characters a text may have: what shows, and what its script needs beside it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegel_server.edge import validation
from zegel_server.edge.characters import named, unfit
from zegel_server.errors import InvalidArgument

FINE = [
    "Sanne de Vries",
    "Zoë Łukasiewicz-Ångström",
    "O\u2019Brien \u2013 \u201cthe 2nd\u201d, 50 % ½ €",
    "Μαρία Παπαδοπούλου",
    "محمد الأمين",
    "می\u200cخواهم",  # noqa: RUF001 - Persian: the letters around it would join without it
    "משה כהן 12",
    "क्\u200dष and क्\u200cष",  # Hindi: two forms of one cluster
    "ශ්\u200dරී ලංකා",  # Sinhala: Sri Lanka's own name has a joiner
    "നന്\u200dമ",  # Malayalam, as it was written before its chillu letters
    "ខ្មែរ",
    "山\U000e0100本",  # a registered variant of an ideograph
    "ᠮᠣᠩᠭᠣᠯ\u180b",
    "👨\u200d👩\u200d👧 ❤\ufe0f 👍🏽 3\ufe0f\u20e3 🏳\ufe0f\u200d🌈",
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland
    "a\u00a0b\u3000c",
]

HIDDEN = {
    "bidi override": "invoice\u202efdp.exe",
    "isolate": "\u2066abc\u2069",
    "marks of direction": "abc\u200e",
    "right-to-left mark": "\u200fabc",
    "Arabic letter mark": "abc\u061c",
    "zero-width space": "Ann\u200bSmith",
    "byte-order mark": "\ufeffAnn",
    "word joiner": "Ann\u2060Smith",
    "soft hyphen": "Ann\u00adSmith",
    "joiner between Latin letters": "Ann\u200dSmith",
    "non-joiner between Latin letters": "Ann\u200cSmith",
    "joiner before anything": "\u200dAnn",
    "joiner at the end": "می\u200c",
    "two joiners": "می\u200c\u200cخ",
    "variation selector after a letter": "A\ufe0fnn",
    "variation selector after an ideograph that has none": "山\ufe0f",
    "variation selector before anything": "\ufe0fAnn",
    "supplementary variation selector after a letter": "A\U000e0100nn",
    "tags without a flag": "Ann\U000e0041\U000e006e\U000e006e",
    "tags without an end": "\U0001f3f4\U000e0067\U000e0062",
    "Hangul filler": "\u3164",
    "half-width Hangul filler": "\uffa0Ann",
    "combining grapheme joiner": "A\u034fnn",
    "Braille without a dot": "\u2800",
    "interlinear annotation": "\ufff9Ann",
    "private use": "\ue000",
    "noncharacter": "Ann\ufdd0",
    "another noncharacter": "Ann\U0001ffff",
    "line separator": "Ann\u2028Smith",
    "control": "Ann\x85Smith",
    "musical control": "\U0001d173",
}


@pytest.mark.parametrize("text", FINE)
def test_what_people_write_is_taken(text: str) -> None:
    assert unfit(unicodedata.normalize("NFC", text)) is None
    assert validation.text(text, "f", most=100) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("what", HIDDEN)
def test_what_does_not_show_is_refused_and_named(what: str) -> None:
    text = HIDDEN[what]
    with pytest.raises(InvalidArgument) as refused:
        validation.text(text, "signers[0].name", most=100)
    assert refused.value.metadata["field"] == "signers[0].name"
    char = unfit(text)
    assert char is not None
    assert f"U+{ord(char):04X}" in str(refused.value)


def test_a_mail_address_is_held_to_the_same_rule() -> None:
    with pytest.raises(InvalidArgument):
        validation.email("an\u200bn@example.com", "f")


@given(st.text(st.characters(categories=("L", "Nd", "P", "Zs"), exclude_characters="\u115f\u1160\u3164\uffa0\u180f")))
def test_letters_digits_punctuation_and_spaces_are_never_refused(text: str) -> None:
    assert unfit(unicodedata.normalize("NFC", text)) is None


@given(st.text(max_size=8), st.sampled_from(sorted(set("".join(HIDDEN.values())) - set("\u200c\u200d\ufe0f"))))
def test_nothing_around_it_makes_a_hidden_character_fit(text: str, char: str) -> None:
    if unfit(char) is None:
        return
    found = unfit(f"{text}{char}{text}")
    assert found is not None or char in "\U000e0041\U000e0067\U000e0062\U000e006e\U000e0100"


def test_a_character_without_a_name_is_named_by_its_number() -> None:
    assert named("\x85") == "U+0085"
    assert named("\u202e") == "U+202E RIGHT-TO-LEFT OVERRIDE"
