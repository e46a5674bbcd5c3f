"""What stamps and audit pages may be made of: fonts, pictures and lines, but nothing active or hidden.

Each object that they refer to is of a kind below and has only keys of its kind; names within a resource category are
free.

Invariants:

* There is no action, script, annotation, layer, or reference to another file or to an object of the rendition.
"""

from collections.abc import Mapping
from typing import Final

from zegel.evidence.sealed_file.syntax import FormError, Name, Ref, Stream, Value

_STREAM: Final = frozenset({"Filter", "DecodeParms", "Length1", "Length2", "Length3"})
_FORM: Final = frozenset({"Type", "Subtype", "FormType", "BBox", "Matrix", "Resources", "Group"})
_IMAGE: Final = frozenset(
    {
        *("Type", "Subtype", "Width", "Height", "BitsPerComponent", "ColorSpace", "Decode", "Interpolate"),
        *("SMask", "Mask", "ImageMask"),
    }
)
_GROUP: Final = frozenset({"Type", "S", "CS", "I", "K"})
_STATE: Final = frozenset({"Type", "ca", "CA", "BM", "LW", "AIS", "op", "OP", "OPM", "SMask"})
_FONT: Final = frozenset(
    {
        *("Type", "Subtype", "BaseFont", "Name", "FirstChar", "LastChar", "Widths", "FontDescriptor", "Encoding"),
        *("ToUnicode", "DescendantFonts", "CIDSystemInfo", "CIDToGIDMap", "DW", "W"),
    }
)
_DESCRIPTOR: Final = frozenset(
    {
        *("Type", "FontName", "FontFamily", "FontStretch", "FontWeight", "Flags", "FontBBox", "ItalicAngle", "Ascent"),
        *("Descent", "Leading", "CapHeight", "XHeight", "StemV", "StemH", "AvgWidth", "MaxWidth", "MissingWidth"),
        *("FontFile", "FontFile2", "FontFile3", "CIDSet"),
    }
)
_ENCODING: Final = frozenset({"Type", "BaseEncoding", "Differences"})
_SYSTEM: Final = frozenset({"Registry", "Ordering", "Supplement"})
_CATEGORIES: Final = frozenset({"Font", "XObject", "ExtGState", "ColorSpace", "ProcSet"})
_PARAMETERS: Final = frozenset({"Predictor", "Colors", "BitsPerComponent", "Columns", "EarlyChange", "K", "BlackIs1"})
_PLAIN: Final = frozenset({"Subtype"})  # of a font file, such as OpenType

_DICTIONARIES: Final = (_FONT, _DESCRIPTOR, _STATE, _ENCODING, _SYSTEM, _GROUP, _PARAMETERS)
"""Kinds of dictionaries, each with the keys that it may have."""
_STREAMS: Final = (_FORM | _STREAM, _IMAGE | _STREAM, _PLAIN | _STREAM)
"""Kinds of streams, each with the keys that it may have."""


def demand_drawing(value: Value, where: str) -> None:
    """Check that an object is of a kind that stamps and audit pages may be made of.

    Args:
        value: The object.
        where: What it is, for the message.

    Raises:
        FormError: It is of no such kind.
    """
    if isinstance(value, Stream):
        _demand_entries(value.entries, _STREAMS, where)
    elif isinstance(value, dict):
        if value.keys() <= _CATEGORIES:
            demand_resources(value, where)
        else:
            _demand_entries(value, _DICTIONARIES, where)
    elif isinstance(value, list):
        for item in value:
            demand_drawing(item, where)


def demand_resources(resources: Value, where: str) -> None:
    """Check that resources are of the categories that stamps and audit pages may use.

    Args:
        resources: The resources.
        where: Whose they are, for the message.

    Raises:
        FormError: They are not.
    """
    if isinstance(resources, Ref):
        return  # an object of its own, which is checked separately
    if not isinstance(resources, dict) or not resources.keys() <= _CATEGORIES:
        raise FormError(f"{where} has resources that it may not have")
    for category, named in resources.items():
        if category == "ProcSet" or isinstance(named, Ref):
            continue
        if not isinstance(named, dict):
            raise FormError(f"{where} has malformed resources")
        for item in named.values():
            demand_drawing(item, where)


def _demand_entries(entries: Mapping[str, Value], kinds: tuple[frozenset[str], ...], where: str) -> None:
    if not any(entries.keys() <= kind for kind in kinds):
        raise FormError(f"{where} has entries that no drawing may have")
    if entries.get("Subtype") == Name("PS"):
        raise FormError(f"{where} is PostScript")
    for key, value in entries.items():
        if key == "Resources":
            demand_resources(value, where)
        else:
            demand_drawing(value, where)
