"""Honest sealed files, and reading forgeries of them without reading again what they have in common with them."""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import pytest

from fuzz.sealed_book import Book
from support.forging import SIGNATURE, SIGNED_DATA, SIGNER, Forger, der, edited, part, unstamped
from support.sealed import Sealed
from zegel.evidence.sealed_file import reading
from zegel.evidence.sealed_file import revisions as form
from zegel.evidence.sealed_file.completion import Completion
from zegel.evidence.sealed_file.completion_reading import read_completion
from zegel.evidence.sealed_file.reading import SealedFile, read_sealed_file
from zegel.evidence.sealed_file.rendition import check_rendition
from zegel.evidence.sealed_file.revisions import Base, Revision, read_base, read_revisions
from zegel.evidence.sealed_file.syntax import FormError, Value
from zegel.evidence.sealed_file.timestamps import State, Validation
from zegel.evidence.verification.der import read_element


@dataclass(frozen=True)
class QuickForger(Forger):
    """One whose authority answers in a millisecond: from a token of its own, with another imprint, signed anew.

    Args:
        sign: The authority's signature.
        template: A token of its.
    """

    sign: Callable[[bytes], bytes]
    template: bytes

    def token(self, digest: bytes, nonce: int | None = None) -> bytes:
        """A fresh token over a SHA-256."""
        if nonce is not None:
            return super().token(digest, nonce)
        info = edited(read_element(part(self.template, TST_INFO)).content, (2, 1), lambda _: der(0x04, digest))
        now = f"{dt.datetime.now(dt.UTC):%Y%m%d%H%M%SZ}".encode("ascii")
        info = edited(info, (4,), lambda _: der(0x18, now))
        hashed = der(0x04, hashlib.sha256(info).digest())
        attributes = part(self.template, ATTRIBUTES)
        places = [each.encoding for each in read_element(attributes).elements()]
        (index,) = (place for place, each in enumerate(places) if MESSAGE_DIGEST in each)
        attributes = edited(attributes, (index, 1, 0), lambda _: hashed)
        signature = self.sign(b"\x31" + attributes[1:])
        token = edited(self.template, TST_INFO, lambda _: der(0x04, info))
        token = edited(token, ATTRIBUTES, lambda _: attributes)
        return edited(token, SIGNATURE, lambda _: der(0x04, signature))


TST_INFO, ATTRIBUTES = (*SIGNED_DATA, 2, 1, 0), (*SIGNER, 3)
MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")


@dataclass(frozen=True)
class Seed:
    """An honest file, and how it is put together."""

    sealed: Sealed
    pdf: bytes
    book: Book

    @cached_property
    def file(self) -> SealedFile:
        return read_sealed_file(self.pdf)

    @cached_property
    def revisions(self) -> list[Revision]:
        return read_revisions(self.pdf)

    @cached_property
    def base(self) -> Base:
        return read_base(self.pdf, read_revisions(self.pdf)[-1])

    @cached_property
    def unstamped(self) -> tuple[bytes, Base, State, Validation]:
        return unstamped(self.sealed.pdf)


@contextmanager
def reused(seed: Seed) -> Iterator[None]:
    """Read the revisions that a forgery has in common with its origin no second time.

    What a revision is follows from the bytes up to its end alone, and what the first two are from these.
    """
    file, known, ends = seed.file, seed.revisions, [each.end for each in seed.revisions]

    def read(data: bytes) -> list[Revision]:
        same = next((index for index in range(len(ends), 0, -1) if data.startswith(seed.pdf[: ends[index - 1]])), 0)
        if not same:
            return read_revisions(data)
        found, spent = list(known[:same]), form._Spent(1.1)
        while found[-1].end < len(data):
            if len(found) == form.MAX_REVISIONS:
                raise FormError("the file has too many revisions")
            mark = hashlib.sha256(data[: found[-1].end]).digest()[: form.ID_BYTES]
            found.append(form._read_one(data, found, mark, spent))
        return found

    def checked(objects: Mapping[int, Value]) -> int:
        return file.pages if objects is known[0].objects else check_rendition(objects)

    def completed(rendition: Revision, second: Revision) -> Completion:
        if rendition is known[0] and second is known[1]:
            return file.completion
        return read_completion(rendition, second)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "read_revisions", read)
        patch.setattr(reading, "check_rendition", checked)
        patch.setattr(reading, "read_completion", completed)
        yield
