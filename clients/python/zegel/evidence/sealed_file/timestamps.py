"""The third revision, and each renewal: validation data, and a document timestamp over everything before it.

It changes the form dictionary (one more field), the array of the first audit page's annotations (one more), and, the
first time, the catalogue, which then refers to the document security store; later the store itself. It adds, numbered
from the file's size on: the store (the first time), the field, the timestamp, and a stream for each certificate,
revocation list and OCSP response that the store did not have yet.

Invariants:

* All of it except these streams' data, the size of the room for the token and the token is rebuilt and compared.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from zegel.evidence.sealed_file.completion import Numbers, signature_field
from zegel.evidence.sealed_file.placing import Unsigned, demand_ranges, place_signature
from zegel.evidence.sealed_file.rendition import entries_of
from zegel.evidence.sealed_file.revisions import CATALOGUE, Base, Revision
from zegel.evidence.sealed_file.syntax import BoundError, FormError, Name, Ref, Stream, Value, same

TIMESTAMP_FIELD: Final = "ZegelTimestamp"
"""Name of the first timestamp's field; later ones have a number after it."""
MAX_VALIDATION: Final = 1_000
"""Maximum number of certificates, lists and responses of a file: each timestamp adds some ten."""

MAX_VALIDATION_BYTES: Final = 64 * 2**20
"""Maximum size in bytes of them together: the largest revocation lists have 3 MB, and a renewal adds several."""

_KINDS: Final = ("Certs", "CRLs", "OCSPs")


@dataclass(frozen=True, slots=True)
class Validation:
    """What a validator needs, each in DER and without duplicates.

    Args:
        certificates: Certificates.
        crls: Certificate revocation lists.
        ocsps: OCSP responses.
    """

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """The parts of a file that further revisions change.

    Args:
        catalogue: The catalogue.
        numbers: Numbers of the second revision's objects.
        timestamps: How many document timestamps there are.
        fields: The form's fields.
        store: Number of the document security store; 0 while there is none.
        held: The numbers of the store's streams, by kind.
        known: SHA-256 of each item of the store.
        room: How many more bytes the store may have.
    """

    catalogue: Mapping[str, Value]
    numbers: Numbers
    timestamps: int = 0
    fields: tuple[Ref, ...] = ()
    store: int = 0
    held: Mapping[str, tuple[Ref, ...]] = field(default_factory=dict)
    known: frozenset[bytes] = frozenset()
    room: int = MAX_VALIDATION_BYTES


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A revision with a timestamp, as read.

    Args:
        added: What it adds to the store.
        gap: Where the token's bytes are in the file.
        contents: The token, with the zeros after it.
    """

    added: Validation
    gap: tuple[int, int]
    contents: bytes


def first_state(catalogue: Mapping[str, Value], numbers: Numbers) -> State:
    """The state of a file that has just been sealed.

    Args:
        catalogue: The second revision's catalogue.
        numbers: The numbers of its objects.
    """
    return State(catalogue, numbers, fields=(Ref(numbers.field),))


def write_timestamp(base: Base, state: State, added: Validation, room: int) -> Unsigned:
    """Write a revision with room for a timestamp.

    Args:
        base: What it builds upon.
        state: What it changes.
        added: Validation data; what the store already has is omitted.
        room: How many bytes the token may have.

    Raises:
        FormError: There is too much of it, or it cannot be spelled.
    """
    lists = [[each for each in dict.fromkeys(kind) if _mark(each) not in state.known] for kind in _lists(added)]
    objects, number, _ = _built(base.size, state, lists)
    size = max(objects) + 1
    return place_signature(base, objects, number, room, size=size, info=base.info)


def read_timestamp(before: Revision, revision: Revision, state: State) -> tuple[Timestamp, State]:
    """Read a revision with a timestamp.

    Args:
        before: The revision before it.
        revision: The revision.
        state: What it changes.

    Returns:
        Its variable parts, and what the next one changes.

    Raises:
        FormError: Something in it is not as the canonical form requires.
    """
    number = before.size + (0 if state.store else 1) + 1
    store = state.store or before.size
    if revision.size - number > MAX_VALIDATION + 1:
        raise BoundError(f"there are more than {MAX_VALIDATION:,} certificates, revocation lists and answers")
    streams = [_data(revision, each) for each in range(number + 1, revision.size)]
    if sum(map(len, streams)) > state.room:
        raise BoundError(f"there are more than {MAX_VALIDATION_BYTES // 2**20} MiB of validation data")
    lists = _split(streams, entries_of(revision.objects, store), state, number + 1)
    if len(set(map(_mark, streams)) | state.known) != len(streams) + len(state.known):
        raise FormError("the store of validation data has something twice")
    expected, signature, after = _built(before.size, state, lists)
    if list(expected) != list(revision.objects) or revision.info != before.info:
        raise FormError("a timestamp's revision changes something that it must not")
    gap = demand_ranges(revision, signature)
    contents = entries_of(revision.objects, signature)["Contents"]
    for each, value in expected.items():
        given = revision.objects[each]
        if each == signature and isinstance(given, dict):
            given = {key: item for key, item in given.items() if key not in {"ByteRange", "Contents"}}
        if not same(given, value):
            raise FormError(f"object {each} of a timestamp's revision is not as it should be")
    added = Validation(*(tuple(kind) for kind in lists))
    return Timestamp(added, gap, contents if isinstance(contents, bytes) else b""), after


def _lists(added: Validation) -> Sequence[Sequence[bytes]]:
    return added.certificates, added.crls, added.ocsps


def _mark(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _data(revision: Revision, number: int) -> bytes:
    """The data of a stream of the store, counted before it is copied."""
    stream = revision.objects.get(number)
    if not isinstance(stream, Stream):
        raise FormError(f"object {number} holds no validation data")
    return bytes(stream.data)


def _split(streams: Sequence[bytes], store: Mapping[str, Value], state: State, first: int) -> list[list[bytes]]:
    """Split the streams into certificates, lists and responses; the store's arrays say how many there are of each."""
    lists: list[list[bytes]] = []
    place = 0
    for kind in _KINDS:
        named = store.get(kind, [])
        count = (len(named) if isinstance(named, list) else 0) - len(state.held.get(kind, ()))
        if count < 0 or place + count > len(streams):
            raise FormError("the store of validation data names something that is missing")
        lists.append(list(streams[place : place + count]))
        place += count
    if place != len(streams):
        raise FormError(f"object {first + place} is validation data that the store does not name")
    return lists


def _built(size: int, state: State, lists: Sequence[Sequence[bytes]]) -> tuple[dict[int, Value], int, State]:
    """The objects of a revision with a timestamp, the timestamp's number, and what the next revision changes."""
    if sum(map(len, lists)) + len(state.known) > MAX_VALIDATION:
        raise BoundError(f"there are more than {MAX_VALIDATION:,} certificates, revocation lists and answers")
    if state.room < sum(len(each) for kind in lists for each in kind):
        raise BoundError(f"there are more than {MAX_VALIDATION_BYTES // 2**20} MiB of validation data")
    store = state.store or size
    place = size + (0 if state.store else 1)
    mark, token = place, place + 1
    place += 2
    streams: dict[int, Value] = {}
    held: dict[str, tuple[Ref, ...]] = {}
    for kind, data in zip(_KINDS, lists, strict=True):
        own = tuple(Ref(place + index) for index in range(len(data)))
        streams |= {place + index: Stream({}, each) for index, each in enumerate(data)}
        held[kind] = (*state.held.get(kind, ()), *own)
        place += len(data)
    numbers, fields = state.numbers, (*state.fields, Ref(mark))
    catalogue = {**state.catalogue, "DSS": Ref(store)}
    name = TIMESTAMP_FIELD + (str(state.timestamps + 1) if state.timestamps else "")
    objects: dict[int, Value] = {
        numbers.form: {"Fields": list(fields), "SigFlags": 3},
        numbers.widgets: list(fields),
        store: {kind: list(refs) for kind, refs in held.items() if refs},
        mark: signature_field(name, token, numbers.first_audit_page),
        token: {
            "Type": Name("DocTimeStamp"),
            "Filter": Name("Adobe.PPKLite"),
            "SubFilter": Name("ETSI.RFC3161"),
        },
        **streams,
    }
    if not state.store:
        objects[CATALOGUE] = catalogue
    known = state.known | {_mark(each) for kind in lists for each in kind}
    room = state.room - sum(len(each) for kind in lists for each in kind)
    after = State(catalogue, numbers, state.timestamps + 1, fields, store, held, known, room)
    return dict(sorted(objects.items())), token, after
