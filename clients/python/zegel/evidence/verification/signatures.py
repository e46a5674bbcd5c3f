"""The signatures of a sealed file: its seal and its timestamps, each checked against its bytes and at its time.

:mod:`zegel.evidence.sealed_file` has already checked where they are in the file; this module checks the signatures
themselves. Everything is offline: certificates and revocation data come from the file, trust from the caller's roots.

In time, oldest first: the timestamp on the seal (``Ts``), the document timestamp (``T1``), renewals (``T2`` to ``Tn``).
Each is valid if its certificate path was valid at the time of the next; the newest is good until its certificates
expire. The rules of paths and revocation data are in :mod:`zegel.evidence.verification.paths`.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

from asn1crypto import cms, x509
from pyhanko_certvalidator.path import ValidationPath

from zegel.evidence.sealed_file.reading import SealedFile
from zegel.evidence.verification.container import (
    Covered,
    algorithms_of,
    certificates_of,
    check_token,
    covered_digest,
    read_padded,
)
from zegel.evidence.verification.path_rules import PathError
from zegel.evidence.verification.paths import check_path, still_alive
from zegel.evidence.verification.seal_form import Seal, read_seal
from zegel.evidence.verification.store import StoreError, check_store

CLOCKS_APART: Final = dt.timedelta(minutes=5)
"""How far the verifier's clock may be behind the timestamp authority's."""


class SignatureError(ValueError):
    """A signature is not as it must be; the message says how, to a person."""


@dataclass(frozen=True)
class SealFacts:
    """What the validated seal says: who sealed, and when by the timestamp authority's clock."""

    sealed_by: str
    sealed_at: dt.datetime
    certificate_sha256: str


@dataclass(frozen=True)
class TimestampFacts:
    """What the newest document timestamp says: which authority, and what time."""

    timestamped_by: str
    timestamped_at: dt.datetime


@dataclass(frozen=True)
class _Token:
    """A timestamp whose signature was checked: who made it, and when."""

    certificate: x509.Certificate
    time: dt.datetime
    signed_data: cms.SignedData


class Signatures:
    """The signatures of one sealed file.

    Args:
        file: The file, as read.
        seal_roots: Root certificates trusted for the seal.
        timestamp_roots: Root certificates trusted for timestamps.
    """

    def __init__(
        self, file: SealedFile, seal_roots: Sequence[x509.Certificate], timestamp_roots: Sequence[x509.Certificate]
    ) -> None:
        self._file = file
        self._seal_roots = list(seal_roots)
        self._timestamp_roots = list(timestamp_roots)
        self._held = [each for stamp in file.timestamps for each in stamp.added.certificates]
        roots = {root.dump() for root in (*seal_roots, *timestamp_roots)}
        self._known = frozenset(roots | set(self._held))
        self._tokens: list[_Token] | None = None
        self._read_seal: Seal | None = None
        self._seal_path: ValidationPath | None = None

    def check_timestamps(self, now: dt.datetime | None) -> TimestampFacts:
        """Account for every byte of each timestamp, and validate them in order.

        Args:
            now: When the newest must still be valid; ``None`` for its own time.

        Raises:
            ContainerError: A byte of one is not what it must be.
            PathError: One does not lead to a trusted root.
            SignatureError: They are not in the order of their times, or the newest is from the future.
            StoreError: The file holds validation data that validates nothing in it.
        """
        tokens = self._all_tokens()
        paths: list[ValidationPath] = []
        for (earlier, later), place in zip(pairwise(tokens), range(len(tokens)), strict=False):
            if later.time < earlier.time:
                raise SignatureError("The timestamps are not in the order of their times.")
            paths.append(self._check(earlier, later.time, place))
        last = tokens[-1]
        paths.append(self._check(last, last.time, len(tokens) - 1))
        at = last.time if now is None else now
        if last.time > at + CLOCKS_APART:
            raise SignatureError("The newest timestamp is from the future: a clock is wrong.")
        still_alive(paths[-1], at)
        self._check_store(paths)
        return TimestampFacts(subject(last.certificate), last.time)

    def check_seal(self, pins: Sequence[str] = ()) -> SealFacts:
        """Validate the seal.

        Args:
            pins: SHA-256 of certificates, in lower-case hex, one of which must have sealed; empty to accept any.

        Raises:
            SealFormError: It does not have the fixed structure, or its signature is not valid.
            PathError: Its certificate does not lead to a trusted root, or did not when it sealed.
            SignatureError: It was made with none of the pinned certificates.
        """
        seal = self._seal()
        on_seal = self._all_tokens()[0]
        self._path_of_seal()
        digest = seal.certificate.sha256.hex()
        if pins and digest not in pins:
            raise SignatureError("The seal was made with a certificate that was not pinned.")
        return SealFacts(subject(seal.certificate), on_seal.time, digest)

    def _path_of_seal(self) -> ValidationPath:
        if self._seal_path is None:
            on_seal, document = self._all_tokens()[:2]
            first = self._file.timestamps[0].added
            self._seal_path = check_path(
                self._seal().certificate,
                on_seal.time,
                roots=self._seal_roots,
                others=self._others,
                crls=first.crls,
                ocsps=first.ocsps,
                usage="seal",
                known_at=document.time,
            )
        return self._seal_path

    def _check_store(self, paths: Sequence[ValidationPath]) -> None:
        try:
            seal = self._path_of_seal()
        except PathError:
            return  # the seal's own check refuses it and gives the reason
        used = [each for path in (*paths, seal) for each in path.iter_certs(include_root=True)]
        roots = (*self._seal_roots, *self._timestamp_roots)
        check_store([stamp.added for stamp in self._file.timestamps], used, roots)

    @cached_property
    def _others(self) -> list[x509.Certificate]:
        """The certificates that the file holds, parsed once."""
        try:
            return [x509.Certificate.load(each, strict=True) for each in self._held]
        except ValueError as error:
            raise StoreError("Something in the file's validation data is not a certificate.") from error

    def _check(self, token: _Token, at: dt.datetime, place: int) -> ValidationPath:
        """Check a timestamp's path at a moment, with what the file held then; ``place`` 0 is the one on the seal."""
        held = [stamp.added for stamp in self._file.timestamps[: place + 1]]
        return check_path(
            token.certificate,
            at,
            roots=self._timestamp_roots,
            others=self._others,
            crls=[each for added in held for each in added.crls],
            ocsps=[each for added in held for each in added.ocsps],
            usage="timestamp",
        )

    def _seal(self) -> Seal:
        if self._read_seal is None:
            file = self._file
            end = file.ends[1]
            token = read_padded(file.completion.contents)
            self._read_seal = read_seal(token, covered_digest(file.data, *file.completion.gap, end), self._known)
        return self._read_seal

    def _all_tokens(self) -> list[_Token]:
        """The timestamp on the seal, and the document timestamps, the oldest first."""
        if self._tokens is None:
            file, seal = self._file, self._seal()
            tokens = [self._token(seal.timestamp, _digest_of(seal.signature), ())]
            for stamp, end in zip(file.timestamps, file.ends[2:], strict=True):
                covered = covered_digest(file.data, *stamp.gap, end)
                tokens.append(self._token(read_padded(stamp.contents), covered, tokens))
            self._tokens = tokens
        return self._tokens

    def _token(self, token: bytes, digest: Callable[[str], bytes], earlier: Sequence[_Token]) -> _Token:
        signed_data = cms.ContentInfo.load(token)["content"]
        known = self._known.union(*(certificates_of(each.signed_data) for each in earlier))
        # A token that no later timestamp covers must spell its algorithms as an earlier one did; the first is covered.
        spelled = [each.signed_data for each in earlier] or [signed_data]
        algorithms = frozenset(pair for each in spelled for pair in algorithms_of(each))
        certificate = check_token(token, Covered(digest, known, algorithms))
        time = signed_data["encap_content_info"]["content"].parsed["gen_time"].native
        return _Token(certificate, time, signed_data)


def _digest_of(signature: bytes) -> Callable[[str], bytes]:
    return covered_digest(signature, 0, 0, len(signature))


def subject(certificate: x509.Certificate) -> str:
    """The holder of a certificate, for a person to read: the common name, and the organisation unless that includes it.

    Args:
        certificate: The certificate.
    """
    names = certificate.subject.native
    common_name, organisation = (str(names.get(key, "")) for key in ("common_name", "organization_name"))
    if organisation and organisation not in common_name:
        return f"{common_name} ({organisation})" if common_name else organisation
    return common_name or str(certificate.subject.human_friendly)
