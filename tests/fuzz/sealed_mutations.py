"""How a sealed file is forged: by bytes, by raw objects, by values, by containers, by whole bodies."""

import random
import re
from collections.abc import Callable
from decimal import Decimal

from fuzz.sealed_book import Book, spelled
from zegel.evidence.sealed_file.syntax import Name, Ref, Stream, Value, read_value

Choose = random.Random
SCRIPT: Value = {"S": Name("JavaScript"), "JS": b"app.alert(9999)"}
KEYS = (
    *("Type", "AA", "A", "OpenAction", "Contents", "Resources", "Kids", "Count", "Parent", "MediaBox", "CropBox"),
    *("Rotate", "Annots", "AcroForm", "Fields", "XFA", "Names", "AF", "DSS", "Perms", "Title", "V", "AP", "Rect", "F"),
    *("Filter", "DecodeParms", "SMask", "OC", "OCProperties", "Metadata", "Extensions", "Version", "Lang", "P", "T"),
)


# --------------------------------------------------------------------------------------------------------------- bytes


def flip(data: bytes, choose: Choose, low: int = 0) -> bytes:
    at = choose.randrange(low, len(data))
    return data[:at] + bytes([data[at] ^ 1 << choose.randrange(8)]) + data[at + 1 :]


def put(data: bytes, choose: Choose, low: int = 0) -> bytes:
    at = choose.randrange(low, len(data) + 1)
    return data[:at] + choose.choice(PIECES) + data[at:]


def cut(data: bytes, choose: Choose, low: int = 0) -> bytes:
    at = choose.randrange(low, len(data))
    return data[:at] + data[at + choose.choice((1, 1, 2, 9, 20, 300)) :]


def twice(data: bytes, choose: Choose, low: int = 0) -> bytes:
    start = choose.randrange(low, len(data))
    end = min(len(data), start + choose.choice((1, 20, 300, 3000)))
    at = choose.randrange(low, len(data) + 1)
    return data[:at] + data[start:end] + data[at:]


PIECES = (
    b"\n", b" ", b"\r\n", b"\0", b"%x\n", b"%%EOF\n", b"0", b"#20", b"()", b"<>", b"null", b"endobj\n", b"endstream\n",
    b"startxref\n0\n%%EOF\n", b"trailer\n<< /Root 1 0 R /Size 9 >>\n", b"xref\n0 0\n",
    b"3 0 obj\n<< /Type /Page >>\nendobj\n", b"1 1 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n",
    b"<< /Type /XRef /W [1 2 1] /Size 1 /Length 0 >>\nstream\n\nendstream\n", b"%PDF-2.0\n",
)  # fmt: skip

BYTES = (flip, put, cut, twice)


# ------------------------------------------------------------------------------------------------------- raw spellings


def _each(pattern: bytes, new: Callable[[re.Match[bytes], Choose], bytes]) -> Callable[[bytes, Choose], bytes]:
    compiled = re.compile(pattern)

    def change(raw: bytes, choose: Choose) -> bytes:
        head = raw.partition(b"\nstream\n")[0]
        found = list(compiled.finditer(head))
        if not found:
            return raw
        one = choose.choice(found)
        return raw[: one.start()] + new(one, choose) + raw[one.end() :]

    return change


SPELLINGS = (
    _each(rb"(?<= )[0-9]+(?= )", lambda m, c: c.choice((b"+", b"0", b"-", b"00")) + m[0]),
    _each(rb"(?<= )[0-9]+(?= )", lambda m, c: m[0] + c.choice((b".", b".0", b"e0", b" 0 R"))),
    _each(rb"/[A-Z][A-Za-z]+", lambda m, _: b"/#%02X" % m[0][1] + m[0][2:]),
    _each(rb"/[A-Z][A-Za-z]+", lambda m, c: c.choice((m[0] + b"#00", m[0].lower(), b"/", m[0] + b"_"))),
    _each(rb"<[0-9A-F]+>", lambda m, c: c.choice((m[0].lower(), m[0][:-2] + b">", b"< " + m[0][1:]))),
    _each(rb"<[0-9A-F]{2,200}>", lambda m, _: b"(" + bytes.fromhex(m[0][1:-1].decode()) + b")"),
    _each(rb" ", lambda _, c: c.choice((b"  ", b"\n", b"\t", b"\r", b"\0", b"\f", b"%c\n", b""))),
    _each(rb" 0 R", lambda _, c: c.choice((b" 1 R", b" 00 R", b" 0  R", b" 65535 R"))),
    _each(rb" >>", lambda _, c: c.choice((b" /Zz null >>", b" /Type /Page >>", b">>", b" /Length 3 >>"))),
    _each(rb"^[0-9]+ 0 obj\n", lambda m, c: m[0][:-1] + c.choice((b"\r\n", b" ", b" \n", b"%\n"))),
    _each(rb"^[0-9]+ 0 obj\n", lambda m, c: m[0].replace(b" 0 ", c.choice((b" 1 ", b" 00000 ")))),
    _each(rb"<< ", lambda _, c: c.choice((b"<< /Zz 1 ", b"<<", b"<< /Contents 5 0 R ", b"[ "))),
)


# -------------------------------------------------------------------------------------------------------------- values


def some_value(choose: Choose, top: int) -> Value:
    values: tuple[Value, ...] = (
            None, True, 0, -1, 3, 10**9, Decimal("0.5"), b"", b"9,999 euro", Name("Page"), Name(""), SCRIPT, [], {},
            Ref(choose.randrange(1, top + 2)), [Ref(choose.randrange(1, top + 2))], [0, 0, 500, 500],
            {"N": Ref(choose.randrange(1, top + 2))},
        )  # fmt: skip
    return choose.choice(values)


def change_value(value: Value, choose: Choose, top: int) -> Value:  # noqa: C901, PLR0911, PLR0912 - a case a kind
    """A value that differs somewhere."""
    if isinstance(value, Stream):
        if choose.random() < 0.5:
            return Stream(value.entries, choose.choice(BYTES)(bytes(value.data) + b" ", choose))
        entries = change_value(value.entries, choose, top)
        return Stream(entries if isinstance(entries, dict) else {}, value.data)
    if isinstance(value, dict):
        keys = sorted(value)
        what = choose.random()
        if not keys or what < 0.3:
            return {**value, choose.choice(KEYS): some_value(choose, top)}
        key = choose.choice(keys)
        if what < 0.5:
            return {name: value[name] for name in keys if name != key}
        if what < 0.6:
            return {**{name: value[name] for name in keys if name != key}, choose.choice(KEYS): value[key]}
        return {**value, key: change_value(value[key], choose, top)}
    if isinstance(value, list) and value and choose.random() < 0.8:
        items = list(value)
        at = choose.randrange(len(items))
        what = choose.randrange(4)
        if what == 0:
            items[at] = change_value(items[at], choose, top)
        elif what == 1:
            del items[at]
        elif what == 2:
            items.insert(at, some_value(choose, top))
        else:
            choose.shuffle(items)
        return items
    if isinstance(value, Ref) and choose.random() < 0.7:
        return Ref(max(1, value.number + choose.choice((-1, 1, 2, 10))))
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and choose.random() < 0.7:
        return value + choose.choice((1, -1, Decimal("0.001"), 90, 1000))
    if isinstance(value, bytes) and value and choose.random() < 0.7:
        return flip(value, choose)
    return some_value(choose, top)


def parsed(raw: bytes) -> Value:
    """A raw object's value."""
    start = raw.index(b" obj\n") + 5
    value, end = read_value(raw, start)
    if raw.startswith(b"\nstream\n", end) and isinstance(value, dict):
        length = value.pop("Length")
        assert isinstance(length, int)
        return Stream(value, raw[end + 8 : end + 8 + length])
    return value


# ------------------------------------------------------------------------------------------------------ whole objects


def reshape(book: Book, choose: Choose) -> None:  # noqa: C901, PLR0912 - a case a way
    """Add, drop, repeat, move or replace objects of a revision, and whole revisions."""
    leaf = choose.choice(book.leaves)
    objects = leaf.objects
    at = choose.randrange(len(objects))
    every = [each for one in book.leaves for each in one.objects]
    top = max(number for number, _ in every)
    number, raw = objects[at]
    what = choose.randrange(13)
    if what == 0:
        del objects[at]
    elif what == 1:
        objects.insert(at, (number, raw))
    elif what == 2:
        objects.insert(choose.randrange(len(objects) + 1), choose.choice(every))
    elif what == 3:
        new = choose.choice((top + 1, top + 2, 1, 2, 3, 4, number + 1))
        objects.append((new, spelled(new, some_value(choose, top))))
    elif what == 4:
        other = choose.choice(every)[1].partition(b" ")[2]
        objects[at] = (number, b"%d " % number + other)
    elif what == 5:
        choose.shuffle(objects)
    elif what == 6:
        objects[at] = (number, raw[: choose.randrange(len(raw))])
    elif what == 7:
        leaf.info = choose.randrange(top + 2)
    elif what == 8:
        del book.leaves[choose.randrange(len(book.leaves))]
        if not book.leaves:
            book.leaves.append(leaf)
    elif what == 9:
        book.leaves.insert(choose.randrange(len(book.leaves) + 1), choose.choice(book.leaves))
    elif what == 10:
        packed = b"%d 0 <</Type /Page>>" % number
        entries: dict[str, Value] = {"Type": Name("ObjStm"), "N": 1, "First": 4}
        objects.append((top + 1, spelled(top + 1, Stream(entries, packed))))
    elif what == 11:
        leaf.table = choose.choice((b"", b"xref\n0 0\n", b"xref\n0 1\n0000000000 65535 f \n", b"xref \n"))
    else:
        leaf.entries = choose.choice(
            (
                {b"/Root 1 0 R": b"/Root 3 0 R"},
                {b"/Size": b"/XRefStm 15 /Size"},
                {b"/Prev": b"/Zrev"},
                {b"/Prev ": b"/Prev 1"},
                {b"/Root": b"/Encrypt << /Filter /Standard /V 1 /R 2 >> /Root"},
                {b"%%EOF\n": b"%%EOF\n%%EOF\n"},
                {b"startxref\n": b"startxref\n1"},
                {b"trailer\n": b"trailer "},
            )
        )
        leaf.tail = choose.choice((b"", b"", b"\n", b"% \n"))
