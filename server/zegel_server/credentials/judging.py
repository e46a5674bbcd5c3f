"""Whether a sealed file could be verified with what the organisation seals with, and until when: one judgement.

It asks the verifier's own rules of paths (``zegel.evidence.verification.paths``), at the present moment, about the
seal's certificate and that of the timestamps. So whatever it lets pass is not found wanting in a finished file.

Invariants:

* No I/O, and nothing is believed of a certificate before its signature is checked.
* A problem has a reason of the contract, a sentence for an operator, and the setting that mends it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from asn1crypto import x509
from cryptography.x509 import CertificateRevocationList, load_der_x509_crl

from zegel.evidence.verification.path_rules import Flaw, PathError, name_of
from zegel.evidence.verification.paths import check_path
from zegel_server.credentials.keyed_certificate import SealIdentity
from zegel_server.errors import Unavailable

AHEAD: Final = timedelta(days=30)
"""How long before its end a credential is warned of: ordering a new one takes weeks."""
PART_OF_LIFE: Final = 3
"""A list is warned of in the last third of its life if that is shorter: many live for a week."""

Item = Literal["seal", "timestamp", "revocation_list"]
"""What can end: the certificates of the seal and those of the timestamps, each with its chain; the lists."""

NAMES: Final[dict[Item, str]] = {
    "seal": "the seal's certificate",
    "timestamp": "the timestamp authority's certificate",
    "revocation_list": "a revocation list",
}
"""What each is called in a log line."""

MEND: Final[dict[Item, str]] = {
    "seal": "Put a new certificate and its key in the files of ZEGEL_SEAL_CERTIFICATE and ZEGEL_SEAL_KEY.",
    "timestamp": "Ask those who run the timestamp authority, or name another in ZEGEL_TIMESTAMP_URL.",
    "revocation_list": "Put the newest list of that issuer in a file of ZEGEL_SEAL_CRLS.",
}
"""The settings that mend each, and how; the files are read again without a restart."""
_MEND_CHAIN: Final[dict[Item, str]] = {
    "seal": (
        "Put its issuers' certificates after it in the file of ZEGEL_SEAL_CERTIFICATE, and their root's in a file of "
        "ZEGEL_SEAL_TRUST."
    ),
    "timestamp": "Put its issuers' certificates, and their root's, in a file of ZEGEL_SEAL_TRUST.",
}

_REASONS: Final[dict[Item, dict[Flaw, str]]] = {
    "seal": {
        Flaw.NO_ROOT: "SEAL_CHAIN_INCOMPLETE",
        Flaw.NOT_YET_VALID: "SEAL_CERTIFICATE_NOT_YET_VALID",
        Flaw.EXPIRED: "SEAL_CERTIFICATE_EXPIRED",
        Flaw.REVOKED: "SEAL_CERTIFICATE_REVOKED",
        Flaw.OTHER: "SEAL_CERTIFICATE_UNSUITABLE",
    },
    "timestamp": {
        Flaw.NO_ROOT: "TIMESTAMP_CHAIN_INCOMPLETE",
        Flaw.NOT_YET_VALID: "TIMESTAMP_CERTIFICATE_UNSUITABLE",
        Flaw.EXPIRED: "TIMESTAMP_CERTIFICATE_EXPIRED",
        Flaw.REVOKED: "TIMESTAMP_CERTIFICATE_REVOKED",
        Flaw.OTHER: "TIMESTAMP_CERTIFICATE_UNSUITABLE",
    },
}


@dataclass(frozen=True, slots=True)
class SealMaterials:
    """What the organisation seals with, as it is at one moment.

    Attributes:
        identity: Its key and certificates.
        certificates: Further certificates, DER: the timestamp authority's chain, and the roots.
        crls: The certificate revocation lists to embed, DER.
        ocsps: The OCSP responses to embed, DER.
    """

    identity: SealIdentity
    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class StampedBy:
    """Whose certificate a timestamp was signed with.

    Attributes:
        certificate: The certificate, DER.
        others: The other certificates that came with the timestamp, DER.
    """

    certificate: bytes
    others: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Why nothing is sealed.

    Attributes:
        item: What it is about.
        reason: Name of an ``ErrorReason`` without its prefix.
        why: A sentence for the operator.
        mend: The setting that mends it, and what to do.
    """

    item: Item
    reason: str
    why: str
    mend: str

    def refusal(self) -> Unavailable:
        """The error of an attempt to seal: it may succeed later, without a change to the request."""
        return Unavailable(f"{self.why} {self.mend}", reason=self.reason)


def judge(materials: SealMaterials, stamped_by: StampedBy | None, now: datetime) -> Problem | None:
    """Say why nothing can be sealed.

    Args:
        materials: What the organisation seals with.
        stamped_by: Who signed the last timestamp; ``None`` if there was none yet, and then only the seal is judged.
        now: The present, with a time zone.

    Returns:
        The first problem found, the seal's before those of the timestamps; ``None`` if there is none.
    """
    asked: list[tuple[Item, bytes, Sequence[bytes]]] = [("seal", materials.identity.chain[0], ())]
    if stamped_by is not None:
        asked.append(("timestamp", stamped_by.certificate, stamped_by.others))
    for item, certificate, others in asked:
        if (problem := _problem(item, certificate, others, materials, now)) is not None:
            return problem
    return None


def ends_of(materials: SealMaterials, stamped_by: StampedBy | None) -> Iterator[tuple[Item, str, datetime, datetime]]:
    """When what the organisation seals with ends.

    Args:
        materials: What the organisation seals with.
        stamped_by: Who signed the last timestamp; ``None`` if there was none yet.

    Yields:
        The item, the name of the certificate's holder or the list's issuer, when it is to be warned of, and its end.
    """
    yield from _certificate_ends("seal", materials.identity.chain)
    if stamped_by is not None:
        yield from _certificate_ends("timestamp", (stamped_by.certificate, *stamped_by.others))
    for each in map(load_der_x509_crl, materials.crls):
        if each.next_update_utc is not None:
            life = each.next_update_utc - each.last_update_utc
            name = each.issuer.rfc4514_string()
            yield "revocation_list", name, each.next_update_utc - min(AHEAD, life / PART_OF_LIFE), each.next_update_utc


def _certificate_ends(item: Item, chain: Iterable[bytes]) -> Iterator[tuple[Item, str, datetime, datetime]]:
    for each in map(x509.Certificate.load, chain):
        if not each.self_issued:  # a root is trusted whatever its dates are
            yield item, name_of(each), each.not_valid_after - AHEAD, each.not_valid_after


def _problem(
    item: Item, certificate: bytes, others: Sequence[bytes], materials: SealMaterials, now: datetime
) -> Problem | None:
    chain = materials.identity.chain
    known = [x509.Certificate.load(each) for each in dict.fromkeys((*chain, *materials.certificates, *others))]
    offered = {each.dump() for each in known} - set(others)
    roots = [each for each in known if each.self_issued and each.dump() in offered]  # as the finished file is checked
    try:
        check_path(
            x509.Certificate.load(certificate),
            now,
            roots=roots,
            others=known,
            crls=materials.crls,
            ocsps=materials.ocsps,
            usage="timestamp" if item == "timestamp" else "seal",
        )
    except PathError as error:
        return _told(item, error, materials, now)
    return None


def _told(item: Item, error: PathError, materials: SealMaterials, now: datetime) -> Problem:
    if error.flaw is Flaw.STATUS_UNKNOWN and error.certificate is not None:
        return _without_status(item, error.certificate, materials, now)
    mend = (_MEND_CHAIN if error.flaw is Flaw.NO_ROOT else MEND)[item]
    return Problem(item, _REASONS[item][error.flaw], str(error), mend)


def _without_status(item: Item, certificate: x509.Certificate, materials: SealMaterials, now: datetime) -> Problem:
    """No list in force speaks for a certificate: there is none of its issuer, or an old one, or an odd one."""
    lists = [each for each in map(load_der_x509_crl, materials.crls) if _is_by(each, certificate)]
    ends = [each.next_update_utc for each in lists if each.next_update_utc is not None]
    issuer, about = certificate.issuer.human_friendly, f"whether the certificate of {name_of(certificate)} was revoked"
    if ends and max(ends) <= now:
        why = f"The revocation list of {issuer}, which says {about}, is old: the next was due on {max(ends):%Y-%m-%d}."
        return Problem(item, "REVOCATION_LIST_EXPIRED", why, MEND["revocation_list"])
    why = f"There is no revocation list of {issuer}, which would say {about}."
    if lists:
        why = f"The revocation list of {issuer} does not say {about}: it begins later, or another key signed it."
    return Problem(item, "REVOCATION_LIST_MISSING", why, MEND["revocation_list"])


def _is_by(found: CertificateRevocationList, certificate: x509.Certificate) -> bool:
    return bool(x509.Name.load(found.issuer.public_bytes()) == certificate.issuer)
