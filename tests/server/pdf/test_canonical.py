"""The one form of what pikepdf holds: odd names and numbers, streams that hold their own end, indirect everything."""

import base64
import re
import zlib
from collections.abc import Callable
from decimal import Decimal
from io import BytesIO

import pikepdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.completing import opened, rendition_of
from support.pdfs import ink, one_page, raw_pdf, shown_text, stream
from zegel.evidence.sealed_file.rendition import check_rendition
from zegel.evidence.sealed_file.revisions import Revision, read_revisions
from zegel.evidence.sealed_file.syntax import MAX_DEPTH, FormError, Name, Ref, Stream, Value
from zegel_server.pdf import canonical
from zegel_server.pdf.canonical import Converter, packed, write
from zegel_server.pdf.refusal import Refusal, RefusedError

WORD = b"endstream"


def made(change: Callable[[pikepdf.Pdf], None] = lambda _pdf: None, content: bytes = b"q\n0 0 9 9 re f\nQ\n") -> bytes:
    """A rendition of one page after a change to what it is written from."""
    with pikepdf.new() as pdf:
        pdf.add_blank_page(page_size=(300, 200))
        pdf.pages[0].obj.Contents = pdf.make_stream(content)
        pdf.pages[0].obj.Resources = pikepdf.Dictionary()
        change(pdf)
        return write(pdf)


def read(data: bytes) -> Revision:
    (revision,) = read_revisions(data)
    check_rendition(revision.objects)
    return revision


def with_resource(value: Callable[[pikepdf.Pdf], object]) -> Callable[[pikepdf.Pdf], None]:
    def change(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].obj.Resources = pikepdf.Dictionary(Properties=pikepdf.Dictionary())
        pdf.pages[0].obj.Resources.Properties["/P"] = value(pdf)

    return change


def property_of(data: bytes) -> Value:
    """What :func:`with_resource` put in."""
    objects = read(data).objects
    page = objects[3]
    assert isinstance(page, dict)
    resources = page["Resources"]
    assert isinstance(resources, dict)
    properties = resources["Properties"]
    assert isinstance(properties, dict)
    value = properties["P"]
    return objects[value.number] if isinstance(value, Ref) else value


ODD_NAMES = [
    b"/",
    b"/A#20B",
    b"/#23",
    b"/#2F",
    b"/\xc3\xa4",
    b"/#FF#FE",
    b"/#80",
    b"/a(b)c"[:2],
    b"/#28#29#3C#3E#5B#5D",
    b"/" + b"n" * 127,
]


def name_in(spelled: bytes) -> str:
    """The name that is spelled, a character a byte."""
    return re.sub(rb"#([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), spelled[1:]).decode("latin-1")


@pytest.mark.parametrize("spelled", ODD_NAMES)
def test_names_of_any_bytes_are_kept(spelled: bytes) -> None:
    source = one_page(b"", b"/MediaBox [0 0 300 200] /Resources << /Properties << /P %s >> >>" % spelled)
    with opened(source) as pdf:
        pdf.pages[0].obj.Contents = pdf.make_stream(b"q\n\nQ\n")
        data = write(pdf)
    assert property_of(data) == Name(name_in(spelled))
    with opened(source) as before, opened(data) as after:
        one, other = (each.pages[0].obj.Resources.Properties["/P"] for each in (before, after))
        assert one.unparse() == other.unparse()


@pytest.mark.parametrize("spelled", ODD_NAMES[1:])
def test_keys_of_any_bytes_are_kept(spelled: bytes) -> None:
    source = one_page(b"", b"/MediaBox [0 0 300 200] /Resources << /Properties << /P << %s 4711 >> >> >>" % spelled)
    with opened(source) as pdf:
        pdf.pages[0].obj.Contents = pdf.make_stream(b"q\n\nQ\n")
        data = write(pdf)
    value = property_of(data)
    assert value == {name_in(spelled): 4711}


@pytest.mark.parametrize(
    ("spelled", "value"),
    [
        (b"0", 0), (b"-0", 0), (b"+7", 7), (b"007", 7), (b"1.", Decimal(1)), (b".5", Decimal("0.5")),
        (b"-.5", Decimal("-0.5")), (b"-0.0", Decimal(0)), (b"1.500", Decimal("1.5")), (b"2147483648", 2147483648),
        (b"0.00000000000001", Decimal("1E-14")),
        (b"-9223372036854775808", -9223372036854775808), (b"123456789012.000001", Decimal("123456789012.000001")),
    ],
)  # fmt: skip
def test_numbers_keep_their_value_in_one_spelling(spelled: bytes, value: Value) -> None:
    with opened(one_page(b"", b"/MediaBox [0 0 300 200] /Resources << /Properties << /P [%s] >> >>" % spelled)) as pdf:
        pdf.pages[0].obj.Contents = pdf.make_stream(b"q\n\nQ\n")
        found = property_of(write(pdf))
    assert found == [value]


@pytest.mark.parametrize("text", [b"", b"plain", b"\\()", bytes(range(256)), "\ufeffäöü".encode("utf-16-be")])
def test_strings_keep_their_bytes(text: bytes) -> None:
    assert property_of(made(with_resource(lambda _pdf: pikepdf.Array([pikepdf.String(text)])))) == [text]


def test_true_false_and_nothing_are_kept_where_they_may_stand() -> None:
    def value(_pdf: pikepdf.Pdf) -> object:
        found = pikepdf.Array([True, False, None, 1, 0])
        return pikepdf.Array([found, pikepdf.Dictionary(A=True, N=found)])

    assert property_of(made(with_resource(value))) == [
        [True, False, None, 1, 0],
        {"A": True, "N": [True, False, None, 1, 0]},
    ]


PAYLOADS = {
    "plain": b"0 0 9 9 re f",
    "its end": b"% endstream endobj\n0 0 9 9 re f",
    "its end again and again": WORD * 40,
    "empty": b"",
    "incompressible": bytes(range(256)) * 2,
}


@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("filters", [(), ("FlateDecode",), ("ASCIIHexDecode",), ("ASCII85Decode", "FlateDecode")])
def test_streams_keep_what_they_say_and_never_hold_their_end(name: str, filters: tuple[str, ...]) -> None:
    data = PAYLOADS[name]
    encoders: dict[str, Callable[[bytes], bytes]] = {
        "FlateDecode": zlib.compress,
        "ASCIIHexDecode": lambda plain: plain.hex().encode() + b">",
        "ASCII85Decode": lambda plain: base64.a85encode(plain) + b"~>",
    }
    for each in reversed(filters):
        data = encoders[each](data)

    def value(pdf: pikepdf.Pdf) -> object:
        named = [pikepdf.Name(f"/{each}") for each in filters]
        return pdf.make_stream(data, Filter=pikepdf.Array(named)) if named else pdf.make_stream(data)

    found = property_of(made(with_resource(value)))
    assert isinstance(found, Stream)
    assert WORD not in bytes(found.data)
    with opened(made(with_resource(value))) as pdf:
        assert pdf.pages[0].obj.Resources.Properties["/P"].read_bytes() == PAYLOADS[name]


def test_a_wrapped_streams_parameters_stay_with_their_filter() -> None:
    plain = bytes(range(64)) * 4
    rows = b"".join(b"\2" + plain[:8] if not row else b"\2" + bytes(8) for row in range(4))
    stored = zlib.compress(rows, 0)
    parameters: dict[str, Value] = {"Predictor": 15, "Columns": 8}
    bare = packed({"Filter": Name("FlateDecode"), "DecodeParms": parameters}, stored)
    assert bare.entries["Filter"] == Name("FlateDecode")
    found = packed({"Filter": Name("FlateDecode"), "DecodeParms": parameters}, stored + WORD)
    assert found.entries["Filter"] == [Name("FlateDecode"), Name("FlateDecode")]
    assert found.entries["DecodeParms"] == [None, parameters]
    assert zlib.decompress(bytes(found.data)) == stored + WORD


@given(st.binary(max_size=300), st.booleans())
def test_packing_loses_nothing(data: bytes, end: bool) -> None:
    data = data + WORD + data if end else data
    found = packed({}, data)
    assert WORD not in bytes(found.data)
    with pikepdf.new() as pdf:
        named = found.entries.get("Filter")
        filters = named if isinstance(named, list) else [named] if named else []
        again = pdf.make_stream(bytes(found.data))
        if filters:
            again.Filter = pikepdf.Array([pikepdf.Name(f"/{each}") for each in filters if isinstance(each, str)])
        assert again.read_bytes() == data


def test_all_that_may_be_an_object_of_its_own_may_be_one() -> None:
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids 10 0 R /Count 11 0 R >>",
        b"<< /Type 12 0 R /Parent 2 0 R /Contents 4 0 R /MediaBox [13 0 R 0 14 0 R 15 0 R] /Resources 21 0 R >>",
        b"<< /Length 9 0 R >>\nstream\nq\n/F Do\nQ\n\nendstream",
        b"<< /Length 16 0 R /Type 17 0 R /Subtype 18 0 R /BBox 19 0 R >>\nstream\n0 0 9 9 re f\nendstream",
        b"null", b"null", b"null", b"10", b"[3 0 R]", b"1", b"/Page", b"0", b"300", b"200.50", b"12", b"/XObject",
        b"/Form", b"[0 0 20 0 R 9]", b"9", b"<< /XObject << /F 5 0 R >> >>",
    ]  # fmt: skip
    with opened(raw_pdf(objects)) as pdf:
        pdf.pages[0].obj.Resources = pikepdf.Dictionary(XObject=pdf.pages[0].obj.Resources.XObject)
        data = write(pdf)
    revision = read(data)
    assert ink(data) == ink(raw_pdf(objects))
    page = revision.objects[3]
    assert isinstance(page, dict)
    assert page["MediaBox"] == [0, 0, 300, Decimal("200.5")]
    assert page["Type"] == Name("Page")


def test_the_same_object_is_there_once_and_nothing_unreachable_at_all() -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        shared = pdf.make_indirect(pikepdf.Dictionary(Shared=True))
        pdf.make_indirect(pikepdf.Dictionary(Unreachable=True))
        pdf.pages[0].obj.Resources = pikepdf.Dictionary(Properties=pikepdf.Dictionary(A=shared, B=shared))

    data = made(change)
    assert data.count(b"/Shared") == 1
    assert b"/Unreachable" not in data
    assert len(read(data).objects) == 5


def test_objects_may_lead_to_one_another_in_rings() -> None:
    def value(pdf: pikepdf.Pdf) -> object:
        one, other = (pdf.make_indirect(pikepdf.Dictionary()) for _ in range(2))
        one.Other, other.Other, one.Self = other, one, one
        return one

    found = property_of(made(with_resource(value)))
    assert isinstance(found, dict)
    assert set(found) == {"Other", "Self"}


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("levels", [MAX_DEPTH - 3, MAX_DEPTH + 1, 400])
def test_what_is_nested_too_deeply_is_refused_as_such(levels: int) -> None:
    source = one_page(b"", b"/MediaBox [0 0 300 200] /Resources << /Properties << /P %s >> >>" % nested(levels))
    with opened(source) as pdf:
        pdf.pages[0].obj.Contents = pdf.make_stream(b"q\n\nQ\n")
        if levels < MAX_DEPTH:
            assert read(write(pdf)).size > 4
            return
        with pytest.raises(RefusedError) as caught:
            write(pdf)
    assert caught.value.refusal is Refusal.NESTED


def test_a_long_chain_of_objects_is_not_nested() -> None:
    def value(pdf: pikepdf.Pdf) -> object:
        last = pdf.make_indirect(pikepdf.Dictionary())
        for _ in range(5_000):
            last = pdf.make_indirect(pikepdf.Dictionary(Next=last))
        return last

    assert len(read(made(with_resource(value))).objects) == 5_005


def test_too_many_objects_and_too_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def value(pdf: pikepdf.Pdf) -> object:
        return pikepdf.Array([pdf.make_indirect(pikepdf.Dictionary()) for _ in range(60)])

    with monkeypatch.context() as patched:
        patched.setattr(canonical, "MAX_OBJECTS", 50)
        with pytest.raises(RefusedError) as caught:
            made(with_resource(value))
        assert caught.value.refusal is Refusal.TOO_MANY_OBJECTS
    monkeypatch.setattr(canonical, "MAX_RENDITION_BYTES", 1_000)
    with pytest.raises(RefusedError) as caught:
        made(with_resource(value))
    assert caught.value.refusal is Refusal.EXPANDS


@pytest.mark.parametrize(
    "change",
    [
        lambda pdf: pdf.Root.__setattr__("OpenAction", pikepdf.Dictionary(S=pikepdf.Name.JavaScript)),
        lambda pdf: pdf.pages[0].obj.__setattr__("AA", pikepdf.Dictionary()),
        lambda pdf: pdf.pages[0].obj.__setattr__("Contents", pikepdf.Array([pdf.make_stream(b"")])),
        lambda pdf: pdf.pages[0].obj.__setattr__("Resources", pdf.make_indirect(pikepdf.Dictionary())),
        lambda pdf: pdf.pages[0].obj.__setattr__("Rotate", 45),
    ],
)
def test_what_a_rendition_may_not_have_is_a_defect_of_whoever_cleaned_it(change: Callable[[pikepdf.Pdf], None]) -> None:
    with pytest.raises(FormError):
        made(change)


def test_what_is_no_object_of_a_file_is_refused() -> None:
    with pytest.raises(RefusedError):
        Converter(1).value(pikepdf.Operator("re"))


def test_written_twice_it_is_the_same_and_so_it_is_when_read_and_written_again() -> None:
    def value(pdf: pikepdf.Pdf) -> object:
        form = pdf.make_stream(b"0 0 9 9 re f" * 20, Type=pikepdf.Name.XObject, B=1.50, A=pikepdf.String("x"))
        return pikepdf.Array([form, pikepdf.Dictionary(B=form, A=pikepdf.Name("/Ä"))])

    data = made(with_resource(value))
    assert made(with_resource(value)) == data
    with pikepdf.open(BytesIO(data)) as pdf:
        assert write(pdf) == data
    assert all(
        b"/Length %d" % len(bytes(each.data)) in data
        for each in read(data).objects.values()
        if isinstance(each, Stream)
    )


@pytest.mark.parametrize("name", [b"/#80", b"/F#2380", b"/F#20G", b"/#C3#A4", b"/#23"])
def test_a_resource_of_any_name_is_drawn(name: bytes) -> None:
    page = b"/MediaBox [0 0 100 100] /Resources << /XObject << %s 5 0 R >> >>" % name
    form = stream(b"0 0 9 20 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 50 50]")
    assert ink(rendition_of(one_page(b"%s Do" % name, page, b"", form))) == (0, 80, 9, 100)


def test_names_that_are_objects_of_their_own_are_read_as_names() -> None:
    page = b"/MediaBox [0 0 300 200] /Resources << /XObject << /X 5 0 R >> /Font << /F 7 0 R >> >>"
    form = stream(b"0 0 9 20 re f", b"/Type /XObject /Subtype 6 0 R /BBox [0 0 50 50]")
    font = b"<< /Type /Font /Subtype 8 0 R /BaseFont 9 0 R /Encoding << /Differences [65 10 0 R] >> >>"
    names = (b"/Type1", b"/Helvetica", b"/Q")
    source = one_page(b"/X Do BT /F 40 Tf 50 50 Td (A) Tj ET", page, b"", form, b"/Form", font, *names)
    data = rendition_of(source)
    assert ink(data) == ink(source)
    assert "Q" in shown_text(data)
    with opened(data) as pdf:
        assert pdf.pages[0].obj.Resources.XObject["/X"].Subtype == pikepdf.Name.Form
