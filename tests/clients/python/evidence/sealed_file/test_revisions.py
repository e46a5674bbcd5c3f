import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.effort import Effort
from support.small_files import make_rendition, make_small, rendition_objects
from zegel.evidence.sealed_file.revisions import (
    HEADER,
    MAX_OBJECTS,
    MAX_REVISIONS,
    read_base,
    read_revisions,
    write_first,
    write_further,
    write_object,
)
from zegel.evidence.sealed_file.syntax import MAX_VALUE_BYTES, BoundError, FormError, Name, Ref, Stream, Value, same

FIRST = (
    b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
    b"2 0 obj\n<< /Length 3 >>\nstream\nabc\nendstream\nendobj\n"
    b"xref\n0 3\n0000000000 65535 f \n0000000015 00000 n \n0000000051 00000 n \n"
)


def test_the_first_revision_is_these_bytes() -> None:
    written = write_first([{"Type": Name("Catalog")}, Stream({}, b"abc")])
    body = FIRST[: FIRST.index(b"xref")]
    mark = hashlib.sha256(body).hexdigest()[:32].upper().encode()
    end = b"trailer\n<< /ID [<%s> <%s>] /Root 1 0 R /Size 3 >>\nstartxref\n%d\n%%%%EOF\n" % (mark, mark, len(body))
    assert written.data == FIRST + end
    assert written.table == len(body)


def test_a_further_revision_is_these_bytes() -> None:
    first = write_first([{"Type": Name("Catalog")}, Stream({}, b"abc")]).data
    (read,) = read_revisions(first)
    more = write_further(read_base(first, read), [(1, []), (4, 1), (5, 2)], size=6, info=4).data
    marks = (read.identifier.hex().upper(), hashlib.sha256(first).hexdigest()[:32].upper())
    assert more.decode() == (
        "1 0 obj\n[]\nendobj\n4 0 obj\n1\nendobj\n5 0 obj\n2\nendobj\nxref\n"
        f"1 1\n{len(first):010} 00000 n \n4 2\n{len(first) + 18:010} 00000 n \n{len(first) + 35:010} 00000 n \n"
        f"trailer\n<< /ID [<{marks[0]}> <{marks[1]}>] /Info 4 0 R /Prev {read.table} /Root 1 0 R /Size 6 >>\n"
        f"startxref\n{len(first) + 52}\n%%EOF\n"
    )
    one, two = read_revisions(first + more)
    assert (one.end, two.start, two.end) == (len(first), len(first), len(first) + len(more))
    assert dict(two.objects.items()) == {1: [], 4: 1, 5: 2}
    assert (two.size, two.info) == (6, 4)


values = st.sampled_from([None, 1, b"text", Name("N"), [Ref(1)], {"K": Ref(2)}])
data = st.binary(max_size=40).filter(lambda data: b"endstream" not in data)  # which is refused, as is shown below
streams = data.map(lambda data: Stream({"K": Name("V")}, data))


@given(
    st.lists(values | streams, min_size=1, max_size=8),
    st.dictionaries(st.integers(1, 20), values | streams, min_size=1),
)
def test_what_is_written_is_read_back(objects: list[Value], more: dict[int, Value]) -> None:
    first = write_first(objects).data
    (read,) = read_revisions(first)
    assert list(read.objects) == list(range(1, len(objects) + 1))
    assert all(same(read.objects[number], value) for number, value in enumerate(objects, 1))
    size = max(read.size, *(number + 1 for number in more))
    second = write_further(read_base(first, read), sorted(more.items()), size=size, info=0).data
    _, last = read_revisions(first + second)
    assert all(same(last.objects[number], value) for number, value in more.items())
    assert all(number in last.objects for number in more)
    assert 21 not in last.objects


@pytest.fixture(scope="module")
def small() -> bytes:
    return make_small(2)


def test_every_changed_byte_is_refused_or_a_value_of_its_own(small: bytes) -> None:
    """Bytes outside of streams and strings have one reading; those inside change what is read."""
    honest = [dict(each.objects.items()) for each in read_revisions(small)]
    for position in range(0, len(small), 7):
        bit = 0x20 if position % 2 else 0x01
        changed = small[:position] + bytes([small[position] ^ bit]) + small[position + 1 :]
        try:
            read = read_revisions(changed)
        except FormError:
            continue
        assert [dict(each.objects.items()) for each in read] != honest, position


@pytest.mark.parametrize("piece", [b"\n", b" ", b"%\n", b"\0", b"x", b"null\n", b"9 0 obj\nnull\nendobj\n"])
def test_nothing_stands_between(small: bytes, piece: bytes) -> None:
    for each in read_revisions(small):
        every = [each.objects.place_of(number) for number in each.objects]
        for place in (each.start, each.table, each.end, *every[::4]):
            with pytest.raises(FormError):
                read_revisions(small[:place] + piece + small[place:])


def test_identifiers_tie_revisions_to_what_is_before_them() -> None:
    one, other = make_rendition(), make_rendition(MediaBox=[0, 0, 600, 801])
    assert len(one) == len(other)
    small = make_small()
    with pytest.raises(FormError, match="trailer"):
        read_revisions(other + small[len(one) :])


@pytest.mark.parametrize(
    "data",
    [b"xendstream", b"endstream\nendobj\n", b"a\nendstream"],
)
def test_the_word_that_ends_a_stream_is_not_in_one(data: bytes) -> None:
    with pytest.raises(FormError):
        write_object(1, Stream({}, data))
    honest = write_first([Stream({}, b"x" * len(data))]).data
    with pytest.raises(FormError, match="stream"):
        read_revisions(honest.replace(b"x" * len(data), data))


@pytest.mark.parametrize("length", [b"2", b"4", b"-1", b"3.0", b"4 0 R", b"true", b"99999999999"])
def test_a_length_that_is_not_the_streams_is_refused(length: bytes) -> None:
    honest = write_first([Stream({}, b"abc")]).data
    with pytest.raises(FormError):
        read_revisions(honest.replace(b"/Length 3", b"/Length " + length))


# -------------------------------------------------------------------------------------------------------------- bounds


def test_there_are_so_many_revisions_and_no_more() -> None:
    data = write_first(rendition_objects()).data
    for _ in range(MAX_REVISIONS - 1):
        last = read_revisions(data)[-1]
        data += write_further(read_base(data, last), [(1, 1)], size=last.size, info=0).data
    last = read_revisions(data)[-1]
    data += write_further(read_base(data, last), [(1, 1)], size=last.size, info=0).data
    with pytest.raises(FormError, match="too many revisions"):
        read_revisions(data)


def test_there_are_so_many_objects_and_no_more() -> None:
    data = write_first([None]).data
    (read,) = read_revisions(data)
    base = read_base(data, read)
    most = write_further(base, [(MAX_OBJECTS, None)], size=MAX_OBJECTS + 1, info=0).data
    assert read_revisions(data + most)[-1].size == MAX_OBJECTS + 1
    more = write_further(base, [(MAX_OBJECTS + 1, None)], size=MAX_OBJECTS + 2, info=0).data
    with pytest.raises(FormError, match="does not follow"):
        read_revisions(data + more)


def test_an_object_is_so_large_and_no_larger() -> None:
    most = b"x" * (MAX_VALUE_BYTES // 2 - 1)
    assert read_revisions(write_first([most]).data)[0].objects[1] == most
    with pytest.raises(BoundError):
        write_first([most + b"x"])
    larger = HEADER + b"1 0 obj\n<" + (most + b"x").hex().upper().encode() + b">\nendobj\n"
    with pytest.raises(BoundError, match="larger than 2,097,152 bytes"):
        read_revisions(larger)


def test_values_have_a_bound_for_reader_and_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    many: list[Value] = [[1] * 500] * 20
    data = write_first(many).data
    monkeypatch.setattr("zegel.evidence.sealed_file.revisions.MAX_VALUES", 9_000)
    for act in (lambda: write_first(many), lambda: read_revisions(data)):
        with pytest.raises(BoundError, match="more than 9,000 values"):
            act()
    monkeypatch.undo()
    monkeypatch.setattr("zegel.evidence.sealed_file.revisions.MAX_SPELLED", 15_000)
    for act in (lambda: write_first(many), lambda: read_revisions(data)):
        with pytest.raises(BoundError, match="larger than"):
            act()


def test_what_reading_costs_grows_with_the_file() -> None:
    def cost(count: int) -> float:
        data = write_first([{"K": Ref(1), "L": [1, 2, 3]}] * count).data
        start = time.process_time()
        read_revisions(data)
        return time.process_time() - start

    cost(500)
    assert cost(16_000) < 40 * max(cost(1_000), 0.005)


def test_many_revisions_cost_no_more_than_their_bytes() -> None:
    data = make_rendition(30)
    for _ in range(MAX_REVISIONS - 1):
        last = read_revisions(data)[-1]
        data += write_further(read_base(data, last), [(1, 1)], size=last.size, info=0).data
    with Effort() as effort:
        read_revisions(data)
    assert effort.seconds < 2
