"""What a rendition's objects may hold: every kind of object that a page's look depends on, with its keys.

Whatever has no place here - scripts, files, metadata, editors' private data, pictures for other media - is left behind.

Invariants:

* A key that is not listed for its kind is removed; a value that is of no permitted kind is removed with its key.
* The lists follow ISO 32000-1 and 32000-2, and what PDFium and poppler read beyond them.
"""

PLAIN = "plain"
"""A number, name, string or truth value, or arrays of them."""

_STREAM = {"/Filter": PLAIN, "/DecodeParms": "parameters"}
_FUNCTION = {
    **dict.fromkeys(("/FunctionType", "/Domain", "/Range", "/Size", "/BitsPerSample", "/Order", "/Encode"), PLAIN),
    **dict.fromkeys(("/Decode", "/Bounds", "/C0", "/C1", "/N"), PLAIN),
    "/Functions": "function",
}
_SHADING = {
    **dict.fromkeys(("/ShadingType", "/Background", "/BBox", "/AntiAlias", "/Domain", "/Matrix", "/Coords"), PLAIN),
    **dict.fromkeys(("/Extend", "/BitsPerCoordinate", "/BitsPerComponent", "/BitsPerFlag", "/Decode"), PLAIN),
    "/VerticesPerRow": PLAIN,
    "/ColorSpace": "space",
    "/Function": "function",
}

KEYS: dict[str, dict[str, str]] = {
    "parameters": {
        **dict.fromkeys(("/Predictor", "/Colors", "/BitsPerComponent", "/Columns", "/EarlyChange", "/K"), PLAIN),
        **dict.fromkeys(("/EndOfLine", "/EncodedByteAlign", "/Rows", "/EndOfBlock", "/BlackIs1"), PLAIN),
        **dict.fromkeys(("/DamagedRowsBeforeError", "/ColorTransform", "/Name"), PLAIN),
        "/JBIG2Globals": "data",
    },
    "data": {**_STREAM},
    "function": {**_STREAM, **_FUNCTION},
    "group": {"/Type": PLAIN, "/S": PLAIN, "/I": PLAIN, "/K": PLAIN, "/CS": "space"},
    "form": {
        **_STREAM,
        **dict.fromkeys(("/Type", "/Subtype", "/FormType", "/BBox", "/Matrix"), PLAIN),
        "/Resources": "resources",
        "/Group": "group",
    },
    "image": {
        **_STREAM,
        **dict.fromkeys(("/Type", "/Subtype", "/Width", "/Height", "/BitsPerComponent", "/Intent"), PLAIN),
        **dict.fromkeys(("/ImageMask", "/Decode", "/Interpolate", "/SMaskInData", "/Matte"), PLAIN),
        "/ColorSpace": "space",
        "/Mask": "image",
        "/SMask": "image",
    },
    "pattern": {
        **_STREAM,
        **dict.fromkeys(("/Type", "/PatternType", "/PaintType", "/TilingType", "/BBox", "/XStep", "/YStep"), PLAIN),
        "/Matrix": PLAIN,
        "/Resources": "resources",
        "/Shading": "shading",
        "/ExtGState": "state",
    },
    "shading": {**_STREAM, **_SHADING},
    "state": {
        **dict.fromkeys(("/Type", "/LW", "/LC", "/LJ", "/ML", "/D", "/RI", "/OP", "/op", "/OPM", "/FL", "/SM"), PLAIN),
        **dict.fromkeys(("/SA", "/BM", "/CA", "/ca", "/AIS", "/TK"), PLAIN),
        **dict.fromkeys(("/BG", "/BG2", "/UCR", "/UCR2", "/TR", "/TR2"), "function"),
        "/Font": "font",
        "/SMask": "softmask",
    },
    "softmask": {"/Type": PLAIN, "/S": PLAIN, "/BC": PLAIN, "/G": "form", "/TR": "function"},
    "space": {
        **_STREAM,
        **_FUNCTION,
        **dict.fromkeys(("/WhitePoint", "/BlackPoint", "/Gamma", "/Matrix", "/Subtype", "/Components"), PLAIN),
        "/Alternate": "space",
        "/Colorants": "spaces",
        "/Process": "space",
        "/ColorSpace": "space",
    },
    "font": {
        **dict.fromkeys(("/Type", "/Subtype", "/Name", "/BaseFont", "/FirstChar", "/LastChar", "/Widths"), PLAIN),
        **dict.fromkeys(("/DW", "/W", "/DW2", "/W2", "/FontBBox", "/FontMatrix"), PLAIN),
        "/FontDescriptor": "descriptor",
        "/DescendantFonts": "font",
        "/Encoding": "encoding",
        "/ToUnicode": "encoding",
        "/CIDSystemInfo": "system",
        "/CIDToGIDMap": "data",
        "/CharProcs": "glyphs",
        "/Resources": "resources",
    },
    "descriptor": {
        **dict.fromkeys(("/Type", "/FontName", "/FontFamily", "/FontStretch", "/FontWeight", "/Flags"), PLAIN),
        **dict.fromkeys(("/FontBBox", "/ItalicAngle", "/Ascent", "/Descent", "/Leading", "/CapHeight"), PLAIN),
        **dict.fromkeys(("/XHeight", "/StemV", "/StemH", "/AvgWidth", "/MaxWidth", "/MissingWidth"), PLAIN),
        **dict.fromkeys(("/CharSet", "/Lang"), PLAIN),
        **dict.fromkeys(("/FontFile", "/FontFile2", "/FontFile3"), "program"),
        "/Style": "style",
        "/CIDSet": "data",
    },
    "program": {**_STREAM, "/Length1": PLAIN, "/Length2": PLAIN, "/Length3": PLAIN, "/Subtype": PLAIN},
    "style": {"/Panose": PLAIN},
    "system": {"/Registry": PLAIN, "/Ordering": PLAIN, "/Supplement": PLAIN},
    "encoding": {
        **_STREAM,
        **dict.fromkeys(("/Type", "/BaseEncoding", "/Differences", "/CMapName", "/WMode"), PLAIN),
        "/CIDSystemInfo": "system",
        "/UseCMap": "encoding",
    },
    "glyph": {**_STREAM, "/Resources": "resources"},
    "mark": dict.fromkeys(("/MCID", "/ActualText", "/Alt", "/E", "/Lang"), PLAIN),
}
"""The keys of each kind, with the kinds of their values. An array's elements are of the array's kind."""

NAMED: dict[str, str] = {"glyphs": "glyph", "spaces": "space"}
"""Dictionaries that may have any keys, with the kind of their values."""

CATEGORIES: dict[str, str] = {
    "/Font": "font",
    "/XObject": "drawn",
    "/ExtGState": "state",
    "/ColorSpace": "space",
    "/Pattern": "pattern",
    "/Shading": "shading",
    "/Properties": "mark",
}
"""The categories of resources, with the kind of what they name; something drawn is a form or a picture."""
