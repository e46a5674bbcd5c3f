"""Forgeries that anyone with a sealed file can make: with tokens of the trusted authority, and no key of Zegel's.

A public timestamp authority stamps any hash, so every forgery here gets a new token from the authority that the
verifier trusts.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asn1crypto import cms, tsp, x509

from support.sealed import Sealed, make_sealed
from zegel.evidence.sealed_file import timestamps
from zegel.evidence.sealed_file.placing import Unsigned, place_signature
from zegel.evidence.sealed_file.reading import SealedFile, read_sealed_file
from zegel.evidence.sealed_file.rendition import entries_of
from zegel.evidence.sealed_file.revisions import CATALOGUE, Base, read_base, read_revisions
from zegel.evidence.sealed_file.syntax import Value
from zegel.evidence.sealed_file.timestamps import State, Validation, first_state, write_timestamp
from zegel.evidence.verification import load_certificates
from zegel.evidence.verification.container import Covered, algorithms_of, covered_digest, read_padded
from zegel.evidence.verification.der import read_element
from zegel_server.credentials.development_authority import DevelopmentAuthority
from zegel_server.credentials.timestamping import LocalTimestampAuthority

ROOM = 4_096
"""Bytes reserved for a forger's tokens."""

Change = Callable[[dict[int, Value]], None]


@dataclass(frozen=True)
class Forger:
    """Somebody with a sealed file.

    Args:
        respond: The trusted timestamp authority.
    """

    respond: Callable[[bytes], bytes]

    def token(self, digest: bytes, nonce: int | None = None) -> bytes:
        """A fresh token over a SHA-256."""
        imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest}
        request = tsp.TimeStampReq(
            {
                "version": "v1",
                "message_imprint": imprint,
                "nonce": secrets.randbits(63) if nonce is None else nonce,
                "cert_req": True,
            }
        )
        return bytes(tsp.TimeStampResp.load(self.respond(request.dump()))["time_stamp_token"].dump())

    def stamped(self, before: bytes, unsigned: Unsigned, token: bytes | None = None) -> bytes:
        """The file with a revision that waited for its timestamp, and that with a fresh one."""
        digest = hashlib.sha256(b"".join([before, *unsigned.covered])).digest()
        return before + unsigned.signed(self.token(digest) if token is None else token)

    def changed(
        self,
        before: bytes,
        base: Base,
        state: State,
        change: Change,
        lists: Sequence[Sequence[bytes]] = ((), (), ()),
        *,
        info: int | None = None,
        size: int | None = None,
    ) -> bytes:
        """Returns the file with a changed and newly stamped timestamp revision."""
        objects, number, _ = timestamps._built(base.size, state, lists)
        change(objects)
        objects = dict(sorted(objects.items()))
        size = size or max(*objects, base.size - 1) + 1
        unsigned = place_signature(base, objects, number, ROOM, size=size, info=base.info if info is None else info)
        return self.stamped(before, unsigned)

    def appended(self, pdf: bytes, change: Change) -> bytes:
        """A renewal in which something was changed."""
        revisions = read_revisions(pdf)
        return self.changed(pdf, read_base(pdf, revisions[-1]), read_sealed_file(pdf).state, change)

    def third(self, pdf: bytes, change: Change) -> bytes:
        """Returns the file with the first timestamp's revision replaced by a changed one."""
        before, base, state, held = unstamped(pdf)
        return self.changed(before, base, state, change, [held.certificates, held.crls, held.ocsps])

    def renewed(self, pdf: bytes, added: Validation | None = None, room: int = ROOM) -> bytes:
        """A renewal, as anybody may add one."""
        revisions = read_revisions(pdf)
        state = read_sealed_file(pdf).state
        unsigned = write_timestamp(read_base(pdf, revisions[-1]), state, added or Validation(), room)
        return self.stamped(pdf, unsigned)

    def restamped(self, pdf: bytes, added: Validation | None = None, room: int = ROOM) -> bytes:
        """Replaces the first timestamp's revision, as anyone may, with the given validation data or the same."""
        before, base, state, held = unstamped(pdf)
        return self.stamped(before, write_timestamp(base, state, added or held, room))


def unstamped(pdf: bytes) -> tuple[bytes, Base, State, Validation]:
    """A sealed file up to its seal, what builds upon it, and the validation data that followed."""
    file = read_sealed_file(pdf)
    before = pdf[: file.ends[1]]
    _, second = read_revisions(before)
    state = first_state(entries_of(second.objects, CATALOGUE), file.completion.numbers)
    return before, read_base(before, second), state, file.timestamps[0].added


def with_seal(pdf: bytes, forger: Forger, change: Callable[[bytes], bytes]) -> bytes:
    """Returns a file in which the seal's container was changed, with a new timestamp."""
    file = read_sealed_file(pdf)
    start, end = file.completion.gap
    seal = change(read_padded(file.completion.contents))
    assert 2 * len(seal) <= end - start - 2, "no room for it"
    digits = seal.hex().upper().encode("ascii").ljust(end - start - 2, b"0")
    return with_second(pdf, forger, pdf[: start + 1] + digits + pdf[end - 1 : file.ends[1]])


def with_second(pdf: bytes, forger: Forger, changed: bytes) -> bytes:
    """Returns a file whose first two revisions were changed without moving any byte, with a new timestamp."""
    before, base, state, held = unstamped(pdf)
    assert len(before) == len(changed)
    base = replace(base, digest=hashlib.sha256(changed).digest())
    return forger.stamped(changed, write_timestamp(base, state, held, ROOM))


def der(tag: int, *parts: bytes) -> bytes:
    """An element of DER."""
    content = b"".join(parts)
    size = len(content)
    count = (size.bit_length() + 7) // 8
    length = bytes([size]) if size < 0x80 else bytes([0x80 + count]) + size.to_bytes(count, "big")
    return bytes([tag]) + length + content


def edited(data: bytes, path: Sequence[int], change: Callable[[bytes], bytes]) -> bytes:
    """Returns DER with the element at a path of indices changed, and all lengths adjusted."""
    if not path:
        return change(data)
    element = read_element(data)
    children = [each.encoding for each in element.elements()]
    children[path[0]] = edited(children[path[0]], path[1:], change)
    return der(element.tag, *children)


def with_children(*added: bytes) -> Callable[[bytes], bytes]:
    """A change that adds elements to the end of one."""

    def change(data: bytes) -> bytes:
        element = read_element(data)
        return der(element.tag, element.content, *added)

    return change


SIGNED_DATA = (1, 0)
"""Path of the signed content in a CMS container, and of its parts:"""
DIGESTS, CERTIFICATES, SIGNERS = (*SIGNED_DATA, 1), (*SIGNED_DATA, 3), (*SIGNED_DATA, 4)
SIGNER = (*SIGNERS, 0)
DIGEST, MECHANISM, SIGNATURE, UNSIGNED = (*SIGNER, 2), (*SIGNER, 4), (*SIGNER, 5), (*SIGNER, 6)
ON_SEAL = (*UNSIGNED, 0, 1, 0)
"""Path of the timestamp in a seal's container."""


def part(data: bytes, path: Sequence[int]) -> bytes:
    """The element that a path of indices leads to."""
    found: list[bytes] = []

    def keep(each: bytes) -> bytes:
        found.append(each)
        return each

    edited(data, path, keep)
    return found[0]


def replaced(objects: dict[int, Value], number: int, changes: Mapping[str, Value]) -> None:
    """Change entries of a dictionary among objects."""
    entries = objects[number]
    assert isinstance(entries, dict)
    objects[number] = {**entries, **changes}


@dataclass(frozen=True)
class World:
    """A sealed file, who made it, and a forger."""

    sealed: Sealed
    authority: DevelopmentAuthority
    forger: Forger

    @property
    def file(self) -> SealedFile:
        return read_sealed_file(self.sealed.pdf)

    def container(self, pdf: bytes | None = None) -> tuple[bytes, Covered]:
        """Returns the newest timestamp's token, and the expectations that it is checked against."""
        pdf = pdf or self.sealed.pdf
        file = read_sealed_file(pdf)
        stamp = file.timestamps[-1]
        on_seal = cms.ContentInfo.load(part(read_padded(file.completion.contents), ON_SEAL))["content"]
        roots = {root.dump() for root in load_certificates(self.sealed.root_pem)}
        held = {each for each_stamp in file.timestamps for each in each_stamp.added.certificates}
        covered = covered_digest(pdf, *stamp.gap, file.ends[-1])
        return read_padded(stamp.contents), Covered(covered, frozenset(roots | held), frozenset(algorithms_of(on_seal)))


def make_world(folder: Path) -> World:
    sealed = make_sealed(folder)
    authority = DevelopmentAuthority.open(folder)
    return World(sealed, authority, Forger(LocalTimestampAuthority(authority.timestamp).respond))


def certificate_of(der: bytes) -> x509.Certificate:
    return x509.Certificate.load(der)
