"""The fonts that the server draws with, and which of them serve each script.

All come from packages, under the SIL Open Font License. For a script that no package covers, fonts are taken from a
folder that the operator names, if it has files named as the Noto project names them (Debian's ``fonts-noto-core``
does). Fonts are memory-mapped when the zygote starts, which costs no memory; a job reads one only when a text needs it.

* ``notos``, ``notosbo``, ``notosit``: Noto Sans, for Latin, Greek and Cyrillic;
* ``figo``, ``figbo``, ``figit``: FiraGO, for Arabic, Hebrew, Devanagari, Thai and Georgian;
* ``cascadia``: Cascadia Mono, for identifiers and hashes, and some symbols;
* ``caveat``: handwriting, in Latin and Cyrillic;
* ``cjk``: Noto Sans CJK;
* ``math``, ``symbol1``, ``symbol2``, ``music``: Noto's symbols;
* names that begin with ``Noto``: files of ``manimgx-fonts``, one package with the scripts of most living
  languages, or of the operator's folder.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pymupdf_fonts  # type: ignore[import-untyped]
import uharfbuzz  # type: ignore[import-untyped]
from fontTools.unicodedata import Scripts

from zegel_server.pdf.fonts.unicode_text import COMMON

CJK = "cjk"

_SCRIPTS = {
    "Arab": ("figo", "NotoSansArabic"),
    "Armn": ("NotoSansArmenian",),
    "Beng": ("NotoSansBengali",),
    "Bopo": (CJK,),
    "Deva": ("figo", "NotoSansDevanagari"),
    "Ethi": ("NotoSansEthiopic",),
    "Geor": ("figo", "NotoSansGeorgian"),
    "Gujr": ("NotoSansGujarati",),
    "Guru": ("NotoSansGurmukhi",),
    "Hang": (CJK,),
    "Hani": (CJK,),
    "Hebr": ("figo", "NotoSansHebrew"),
    "Hira": (CJK,),
    "Kana": (CJK,),
    "Khmr": ("NotoSansKhmer",),
    "Knda": ("NotoSansKannada",),
    "Laoo": ("NotoSansLao",),
    "Mlym": ("NotoSansMalayalam",),
    "Mymr": ("NotoSansMyanmar",),
    "Orya": ("NotoSansOriya",),
    "Sinh": ("NotoSansSinhala",),
    "Taml": ("NotoSansTamil",),
    "Telu": ("NotoSansTelugu",),
    "Thai": ("figo", "NotoSansThai"),
}
"""The fonts of a script, best first; Latin, Greek and Cyrillic have each stack's own."""

_ANY_SCRIPT = ("figo", "cascadia", CJK, "NotoSans", "math", "NotoSansSymbols", "symbol1", "symbol2", "music")
"""Searched for symbols, and for letters that the fonts of their script lack."""

EMOJI = "NotoEmoji"
"""Emoji in a single colour, that of the text."""

_FURTHER = ("NotoSansSymbols", "NotoSansSymbols2", "NotoSansMath", "NotoMusic", "NotoSans")
"""Files of the operator's folder that belong to no script."""

_BOLD = {"figo": "figbo", "notos": "notosbo"}
_ITALIC = {"figo": "figit", "notos": "notosit"}
_SPELLED = {"Nko": "NKo"}
"""Names of scripts that the Noto project spells differently."""

_REGULAR, _HEAVY = 400, 700
_PACKAGED = {
    "caveat": ("fontpkg_caveat", "files/Caveat[wght].ttf"),
    CJK: ("cvttf_NotoSansCJK_Regular", "NotoSansCJKtc-Regular.otf"),
}

_folder: list[Path] = []


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A font to set text in. Each is created once, so that two are equal only if they are the same object.

    Args:
        name: Its name in this module.
        font: HarfBuzz's font.
        units: Units per em.
        weight: Its position on the weight axis; 0 for a font without one.
    """

    name: str
    font: uharfbuzz.Font
    units: int
    weight: int


def use_folder(folder: Path | None) -> None:
    """Also take fonts from a folder of this machine.

    Args:
        folder: The folder, with files named as the Noto project names them; ``None`` for no folder.
    """
    _folder[:] = [folder] if folder else []
    _blob.cache_clear()
    face.cache_clear()
    faces_for.cache_clear()


def preload() -> None:
    """Memory-map all fonts, so that no file is opened later."""
    named = {*_ANY_SCRIPT, EMOJI, *_FURTHER, *(each for fonts in _SCRIPTS.values() for each in fonts)}
    named |= {*_BOLD, *_BOLD.values(), *_ITALIC.values(), "cascadia", "caveat"}
    named |= {name for script in Scripts.NAMES for name in _noto_names(script)}
    for name in sorted(named):
        for bold in (False, True):
            _blob(name, bold=bold)


@cache
def faces_for(script: str, *, bold: bool = False, italic: bool = False) -> tuple[Face, ...]:
    """The fonts that serve a script.

    Args:
        script: Its ISO 15924 code (four letters).
        bold: Whether to prefer bold fonts.
        italic: Whether to prefer italic fonts.

    Returns:
        The fonts that are installed, best first, including those of last resort for symbols.
    """
    names = list(_SCRIPTS.get(script, ()))
    if script != COMMON:
        names += _noto_names(script)
    names += [*_ANY_SCRIPT, EMOJI, *_FURTHER]
    styled = _BOLD if bold else _ITALIC if italic else {}
    found = [face(styled.get(name, name), bold=bold) for name in dict.fromkeys(names)]
    return tuple(each for each in found if each is not None)


@cache
def face(name: str, *, bold: bool = False) -> Face | None:
    """A font by its name.

    Args:
        name: Its name in this module.
        bold: Whether to take its bold weight, if it has one.

    Returns:
        The font; ``None`` if it is not installed.
    """
    blob = _blob(name, bold=bold)
    if blob is None:
        return None
    loaded = uharfbuzz.Face(blob)
    font = uharfbuzz.Font(loaded)
    weight = (_HEAVY if bold and name != EMOJI else _REGULAR) if "fvar" in loaded.table_tags else 0
    if weight:
        font.set_variations({"wght": weight})
    return Face(f"{name}*" if bold else name, font, loaded.upem, weight)


def font_data(name: str) -> bytes:
    """The bytes of a font that must be installed.

    Args:
        name: Its name in this module.

    Raises:
        ModuleNotFoundError: Its package is missing.
    """
    blob = _blob(name, bold=False)
    if blob is None:
        raise ModuleNotFoundError(name)
    return bytes(blob.data)


def cjk_font() -> uharfbuzz.Font:
    """The font for East Asia, memory-mapped once per process.

    Raises:
        ModuleNotFoundError: Its package is missing.
    """
    found = face(CJK)
    if found is None:
        raise ModuleNotFoundError(CJK)
    return found.font


@cache
def _blob(name: str, *, bold: bool) -> uharfbuzz.Blob | None:
    """A font's file; those of packages are memory-mapped and shared by all workers."""
    if name in pymupdf_fonts.fontdescriptors:
        return uharfbuzz.Blob(pymupdf_fonts.myfont(name)) if not bold else _blob(name, bold=False)
    path = _path(name, bold=bold)
    return uharfbuzz.Blob.from_file_path(str(path)) if path else None


def _path(name: str, *, bold: bool) -> Path | None:
    package, file = _PACKAGED.get(name, ("manimgx_fonts", f"{name}[wght].ttf"))
    specification = importlib.util.find_spec(package)
    if specification is None or specification.origin is None:
        raise ModuleNotFoundError(package)
    weights = ["Bold", "Regular"] if bold else ["Regular"]
    places = [Path(specification.origin).parent / file]
    places += [
        folder / f"{name}-{weight}.{kind}" for folder in _folder for weight in weights for kind in ("ttf", "otf")
    ]
    return next((place for place in places if place.is_file()), None)


def _noto_names(script: str) -> list[str]:
    """The names that the Noto project gives its fonts for a script."""
    spelled = Scripts.NAMES.get(script, "").replace("_", "")
    return [f"Noto{kind}{_SPELLED.get(spelled, spelled)}" for kind in ("Sans", "Serif")] if spelled else []
