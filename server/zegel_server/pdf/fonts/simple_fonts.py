"""Determines what a simple font that is not embedded shows: a glyph and a width for each code (ISO 32000-1, 9.6).

Invariants:

* A code with a glyph name or a text gets exactly that glyph: if no face has it, the font is not substituted at all.
* The width of a code is the PDF's own if it states one, and the standard font's otherwise.
"""

import re
from dataclasses import dataclass
from functools import cache
from itertools import islice

import pikepdf
from fontTools import agl

from zegel_server.pdf.fonts import faces
from zegel_server.pdf.fonts.fallbacks import Part, compose
from zegel_server.pdf.fonts.to_unicode import read_to_unicode

MAX_DIFFERENCES = 2_048
"""Most elements of ``/Differences`` that are read: 256 codes with a number before each make 512."""

MAX_WIDTH = 20_000
"""Widest advance that is drawn, in thousandths of the font size: the widest dashes take 4,000."""

FIXED, SERIF, SYMBOLIC, SCRIPT, NONSYMBOLIC, ITALIC, FORCE_BOLD = 1, 2, 4, 8, 32, 64, 1 << 18
"""Flags of a font descriptor (ISO 32000-1, table 123)."""

BOLD_WEIGHT = 600
"""Lowest ``/FontWeight`` that counts as bold: halfway between regular and bold."""

_SUBSET_TAG = re.compile(r"^[A-Z]{6}\+")
_MONO = re.compile(r"courier|consol|mono|typewriter|fixed|lettergothic|lucidacon|terminal|andale")
_SANS = re.compile(
    r"helvet|arial|sans|swiss|verdana|tahoma|calibri|univers|frutiger|myriad|segoe|trebuc|gothic|futura|lucida|franklin"
)
_SERIF = re.compile(
    r"times|roman|serif|georgia|garamond|palatino|bookman|bookantiqua|century|schoolbook|cambria|minion|antiqua|song|"
    r"mincho|ming|caslon|baskerville|bodoni|didot|constantia|sabon|utopia"
)
_BOLD = re.compile(r"bold|black|heavy|demi")
_ITALIC = re.compile(r"italic|oblique|kursiv|inclined|slanted")
_PICTURES = re.compile(r"wingding|webding|marlett|mtextra|dingbat|symbol|ornament|pictograph|barcode|code39|emoji|icon")
"""Fonts whose codes show something other than their encoding says."""

_PICTURE_FACES = ("Symbol", "ZapfDingbats")
_KNOWN = re.compile(r"arial|helvetica|times|courier")
"""Text families that have the same widths as their standard font, whatever their flags say."""

_STYLES = {
    "Helvetica": ("Helvetica", "Helvetica-Bold", "Helvetica-Oblique", "Helvetica-BoldOblique"),
    "Times": ("Times-Roman", "Times-Bold", "Times-Italic", "Times-BoldItalic"),
    "Courier": ("Courier", "Courier-Bold", "Courier-Oblique", "Courier-BoldOblique"),
}
BLANK = re.compile(r"[\x00-\x20\x7f-\xa0\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u2064\ufeff]*")
_ALSO = {
    # Accents for capital letters, which only some fonts have separately, and a name that Bitstream uses.
    **{
        name.capitalize(): name
        for name in ("acute", "breve", "caron", "cedilla", "circumflex", "dieresis", "dotaccent")
    },
    **{name.capitalize(): name for name in ("grave", "hungarumlaut", "macron", "ogonek", "ring", "tilde")},
    "dslash": "dcroat",
}
"""Glyph names that no face uses, and the names that faces use for the same glyph."""

_NAMELESS = {".notdef", ".null", "null", "nonmarkingreturn", "CR", "NULL"}


@dataclass(frozen=True, slots=True)
class Code:
    """What a code shows.

    Args:
        code: From 0 to 255.
        name: Name of its glyph.
        text: Its characters.
        parts: The outlines that draw it.
        width: Its advance, in thousandths of the font size.
    """

    code: int
    name: str
    text: str
    parts: tuple[Part, ...]
    width: float


@dataclass(frozen=True, slots=True)
class Simple:
    """What was read of a simple font.

    Args:
        face: Name of the standard font whose face replaces it.
        codes: What its codes show, in the order of the codes.
        widths: Advances of the codes from ``first`` on.
        first: The first code that has a width.
        stretch: Whether glyphs are widened to fill their widths: false for a font with the same widths as its face.
    """

    face: str
    codes: tuple[Code, ...]
    widths: tuple[float, ...]
    first: int
    stretch: bool


def plain_name(font: pikepdf.Object) -> str:
    """Name of a font, without the tag that marks a subset."""
    return _SUBSET_TAG.sub("", word(font.get("/BaseFont")))


def choose_face(name: str, descriptor: pikepdf.Object | None, *, even: bool) -> str | None:
    """The standard font that resembles a font most.

    Args:
        name: Name of the font.
        descriptor: Its descriptor, if it has one.
        even: Whether all its characters have the same width.

    Returns:
        Name of the standard font; ``None`` for a font of pictures, whose glyphs cannot be guessed.
    """
    if not name.isascii():  # an East Asian font, whose codes have two bytes whatever its encoding says
        return None
    squeezed = re.sub(r"[\s_-]", "", name).lower()
    if squeezed.startswith("symbol") and not squeezed.startswith("symbola"):
        return "Symbol"
    if squeezed.startswith(("zapfdingbats", "itczapfdingbats", "dingbats")):
        return "ZapfDingbats"
    if _PICTURES.search(squeezed):
        return None
    flags = integer(descriptor.get("/Flags")) if isinstance(descriptor, pikepdf.Dictionary) else 0
    weight = number(descriptor.get("/FontWeight")) if isinstance(descriptor, pikepdf.Dictionary) else None
    angle = number(descriptor.get("/ItalicAngle")) if isinstance(descriptor, pikepdf.Dictionary) else None
    bold = bool(_BOLD.search(squeezed)) or bool(flags & FORCE_BOLD) or (weight or 0) >= BOLD_WEIGHT
    italic = bool(_ITALIC.search(squeezed)) or bool(flags & ITALIC) or bool(angle)
    if _MONO.search(squeezed) or (flags & FIXED and even):
        family = "Courier"
    elif _SANS.search(squeezed):
        family = "Helvetica"
    else:
        family = "Times" if _SERIF.search(squeezed) or flags & SERIF else "Helvetica"
    return _STYLES[family][bold + 2 * italic]


def read_simple(font: pikepdf.Object) -> Simple | None:
    """Determine what the codes of a simple font show.

    Args:
        font: A font dictionary of subtype ``Type1``, ``MMType1`` or ``TrueType`` without a font file.

    Returns:
        Its codes; ``None`` if they cannot be determined, or if a glyph is in no face.
    """
    descriptor = font.get("/FontDescriptor")
    given = _given_widths(font)
    even = len({width for width in given.values() if width}) == 1
    name = plain_name(font)
    face = choose_face(name, descriptor, even=even)
    if face is None:
        return None
    known = face in _PICTURE_FACES or bool(_KNOWN.match(name.lower()))
    base = _base(font, descriptor, face, known=known)
    # If the PDF states the encoding, a code without a name shows nothing.
    told = bool(base)
    encoding = font.get("/Encoding")
    names = base | (_differences(encoding.get("/Differences")) if isinstance(encoding, pikepdf.Dictionary) else {})
    texts = read_to_unicode(font.get("/ToUnicode"))
    missing = number(descriptor.get("/MissingWidth")) if isinstance(descriptor, pikepdf.Dictionary) else None
    standard = faces.standard_widths(face)
    codes, widths = [], {}
    for code in range(256):
        glyph = names.get(code)
        width = given.get(code, missing if given else None)
        if glyph in _NAMELESS or (glyph is None and code not in texts and (told or not given.get(code))):
            widths[code] = width or 0
            continue
        found = _glyph(face, glyph, texts.get(code, ""))
        if found is None:
            return None
        text, parts, own = found
        advance = standard.get(glyph or "", own) if width is None else width
        widths[code] = advance
        if text:
            named = (
                glyph
                if glyph is not None and text == _text_of(_ALSO.get(glyph, glyph), face)
                else agl.UV2AGL.get(ord(text[0]), "g")
            )
            codes.append(Code(code, named, text, parts, min(max(advance, 0), MAX_WIDTH)))
    if not codes:
        return None
    kept = [code for code in range(256) if widths[code] or code in given]
    first, last = (kept[0], kept[-1]) if kept else (0, 0)
    return Simple(face, tuple(codes), tuple(widths[code] for code in range(first, last + 1)), first, not known)


def _base(font: pikepdf.Object, descriptor: pikepdf.Object | None, face: str, *, known: bool) -> dict[int, str]:
    """Glyph names by code in a font's base encoding; empty where only the font file could tell."""
    if face in _PICTURE_FACES:
        return _encoding(f"{face}Encoding")
    encoding = font.get("/Encoding")
    base = word(encoding.get("/BaseEncoding") if isinstance(encoding, pikepdf.Dictionary) else encoding)
    if base in {"WinAnsiEncoding", "MacRomanEncoding", "MacExpertEncoding"}:
        return _encoding(base)
    flags = integer(descriptor.get("/Flags")) if isinstance(descriptor, pikepdf.Dictionary) else NONSYMBOLIC
    if known or not flags & SYMBOLIC or flags & NONSYMBOLIC or base == "StandardEncoding":
        # TrueType fonts have no StandardEncoding; all readers use that of Windows instead.
        windows = font.get("/Subtype") == pikepdf.Name.TrueType and not flags & NONSYMBOLIC
        return _encoding("WinAnsiEncoding" if windows else "StandardEncoding")
    return {}


@cache
def _encoding(name: str) -> dict[int, str]:
    return {code: glyph for code, glyph in enumerate(faces.base_encoding(name)) if glyph and code >= 32}  # noqa: PLR2004


def _differences(array: pikepdf.Object | None) -> dict[int, str]:
    found: dict[int, str] = {}
    if not isinstance(array, pikepdf.Array):
        return found
    code = 0
    for item in islice(iter(array), MAX_DIFFERENCES):
        if isinstance(item, pikepdf.Name):
            if 0 <= code <= 255:  # noqa: PLR2004 - a byte
                found[code] = word(item)
            code += 1
        else:
            code = integer(item)
    return found


def _given_widths(font: pikepdf.Object) -> dict[int, float]:
    array = font.get("/Widths")
    if not isinstance(array, pikepdf.Array):
        return {}
    first = integer(font.get("/FirstChar"))
    found = {}
    for code, item in enumerate(islice(iter(array), 256), first):
        width = number(item)
        if width is not None and 0 <= code <= 255:  # noqa: PLR2004 - a byte
            found[code] = width
    return found


def _glyph(face: str, name: str | None, said: str) -> tuple[str, tuple[Part, ...], float] | None:
    """Text, outlines and advance of a glyph, by its name or by the text that the PDF gives for it."""
    if name is not None:
        name = _ALSO.get(name, name)
        text = _text_of(name, face)
        own = faces.face(face).named(name)
        if own is not None:
            return text, (Part(own, 0),), own.advance
        for pictures in _PICTURE_FACES:
            drawn = faces.face(pictures).named(name) if not text else None
            if drawn is not None:
                return _text_of(name, pictures), (Part(drawn, 0),), drawn.advance
    else:
        text = ""
    text = text or said
    if not text:
        return None
    if BLANK.fullmatch(text):
        return text, (), faces.standard_widths(face).get("space", 0)
    composed = compose(face, text)
    return composed and (text, *composed)


@cache
def _text_of(name: str, face: str) -> str:
    text: str = agl.toUnicode(name, isZapfDingbats=face == "ZapfDingbats")
    return text


def word(value: pikepdf.Object | None) -> str:
    """A PDF name without its slash, whatever bytes it has; empty for any other value."""
    if not isinstance(value, pikepdf.Name):
        return ""
    try:
        return str(value)[1:]
    except UnicodeDecodeError:
        raw = bytes(value.unparse(resolved=True)).decode("latin-1")[1:]
        return re.sub("#([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), raw)


def number(value: object) -> float | None:
    """A PDF number; ``None`` for any other value."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return found if -1e6 < found < 1e6 else None  # noqa: PLR2004 - beyond what any reader can use; also refuses NaN


def integer(value: object) -> int:
    """A PDF integer; 0 for any other value."""
    return int(number(value) or 0)
