import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.small_files import make_small
from zegel.evidence.sealed_file.placing import MAX_ROOM, place_signature
from zegel.evidence.sealed_file.reading import SealedFile, read_sealed_file
from zegel.evidence.sealed_file.revisions import read_base, read_revisions
from zegel.evidence.sealed_file.syntax import BoundError, FormError, Value
from zegel.evidence.sealed_file.timestamps import MAX_VALIDATION, MAX_VALIDATION_BYTES, Validation, write_timestamp

TOKEN = b"\x30\x03\x02\x01\x09"


def renewed(pdf: bytes, added: Validation, room: int = 50) -> bytes:
    base = read_base(pdf, read_revisions(pdf)[-1])
    return pdf + write_timestamp(base, read_sealed_file(pdf).state, added, room).signed(TOKEN)


data = st.lists(st.binary(max_size=20).filter(lambda each: b"endstream" not in each), max_size=4).map(tuple)


@settings(max_examples=40)
@given(st.lists(st.builds(Validation, data, data, data), max_size=4))
def test_what_renewals_add_is_read_back_each_once(renewals: list[Validation]) -> None:
    pdf = make_small()
    known = {b"certificate"}
    wanted: list[Validation] = []
    for added in renewals:
        lists = (added.certificates, added.crls, added.ocsps)
        kinds = [tuple(each for each in dict.fromkeys(kind) if each not in known) for kind in lists]
        if len({each for kind in kinds for each in kind}) != sum(map(len, kinds)):
            return  # the same bytes as a certificate and as a list: no writer has such
        known |= {each for kind in kinds for each in kind}
        wanted.append(Validation(*kinds))
        pdf = renewed(pdf, added)
    file = read_sealed_file(pdf)
    assert [stamp.added for stamp in file.timestamps[1:]] == wanted
    assert [stamp.contents.rstrip(b"\0") for stamp in file.timestamps[1:]] == [TOKEN] * len(renewals)
    assert file.ends[-1] == len(pdf)


def test_the_same_data_twice_is_refused_whatever_it_says_to_be() -> None:
    with pytest.raises(FormError, match="twice"):
        read_sealed_file(renewed(make_small(), Validation((b"one",), (b"one",))))


def test_each_timestamp_has_a_name_of_its_own() -> None:
    pdf = make_small()
    for _ in range(3):
        pdf = renewed(pdf, Validation())
    for name in (b"ZegelTimestamp", b"ZegelTimestamp2", b"ZegelTimestamp3", b"ZegelTimestamp4"):
        assert pdf.count(b"/T <%s>" % name.hex().upper().encode()) == 1


def test_the_room_for_a_signature_has_a_bound_for_reader_and_writer() -> None:
    pdf = make_small()
    assert len(read_sealed_file(renewed(pdf, Validation(), MAX_ROOM)).timestamps) == 2
    with pytest.raises(BoundError, match="room"):
        renewed(pdf, Validation(), MAX_ROOM + 1)
    with pytest.raises(FormError, match="longer than the room"):
        renewed(pdf, Validation(), len(TOKEN) - 1)


def test_the_store_has_a_bound_for_reader_and_writer() -> None:
    pdf = make_small()
    most = tuple(b"%d" % number for number in range(MAX_VALIDATION - 1))
    full = renewed(pdf, Validation(most))
    assert len(read_sealed_file(full).state.known) == MAX_VALIDATION
    with pytest.raises(BoundError, match="more than 1,000"):
        renewed(full, Validation((b"one more",)))
    large = bytes(MAX_VALIDATION_BYTES // 2)
    half = renewed(pdf, Validation((large,)))
    with pytest.raises(BoundError, match="64 MiB"):
        renewed(half, Validation((large + b"x",)))


def test_a_timestamp_covers_all_but_its_own_place() -> None:
    pdf = renewed(make_small(), Validation())
    start, end = read_sealed_file(pdf).timestamps[-1].gap
    assert pdf[start:end] == b"<" + TOKEN.hex().upper().encode().ljust(100, b"0") + b">"
    ranges = b"/ByteRange [0 %d %d %d]" % (start, end, len(pdf) - end)
    assert pdf.count(ranges) == 1


def test_only_a_dictionary_can_be_a_signature() -> None:
    pdf = make_small()
    last = read_revisions(pdf)[-1]
    objects: dict[int, Value] = {1: []}
    with pytest.raises(FormError, match="not a dictionary"):
        place_signature(read_base(pdf, last), objects, 1, 10, size=last.size, info=last.info)


def test_a_file_tells_what_a_renewal_changes() -> None:
    file: SealedFile = read_sealed_file(renewed(make_small(), Validation((b"new",), (b"list",), (b"answer",))))
    assert file.state.timestamps == 2
    assert {kind: len(refs) for kind, refs in file.state.held.items()} == {"Certs": 2, "CRLs": 1, "OCSPs": 1}
