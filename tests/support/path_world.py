"""The certificates, revocation lists and OCSP responses from which paths are built, and the trusted roots."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pytest
from pyhanko_certvalidator.path import ValidationPath

from support.pki import ANSWERS, SEALING, TIME, Party, day, make_list, make_party
from zegel.evidence.verification.path_rules import PathError, name_of
from zegel.evidence.verification.paths import check_path

YEAR = 365
SEALED = 100
"""The day on which everything is sealed: the lists are of that day, and the answer."""

ROOT = make_party("Root", life=(0, 30 * YEAR), ca=True)
CA = make_party("CA", ROOT, life=(0, 20 * YEAR), ca=True, path_length=0)
SEAL = make_party("Seal", CA, life=(0, 3 * YEAR), used=SEALING, responder=True)
TIME_ROOT = make_party("Time Root", life=(0, 30 * YEAR), ca=True)
TIME_CA = make_party("Time CA", TIME_ROOT, life=(0, 20 * YEAR), ca=True, path_length=0, purposes=[TIME])
TSA = make_party("Clock", TIME_CA, life=(0, 12 * YEAR), purposes=[TIME])
RESPONDER = make_party("Responder", CA, life=(90, 120), purposes=[ANSWERS], nocheck=True)

ROOT_LIST = make_list(ROOT, 50, 230)
CA_LIST = make_list(CA, SEALED - 0.5, SEALED + 6.5)
TIME_ROOT_LIST = make_list(TIME_ROOT, 50, 230)
TIME_CA_LIST = make_list(TIME_CA, SEALED - 0.5, SEALED + 6.5)


@dataclass(frozen=True)
class File:
    """What a sealed file holds, and who is trusted."""

    roots: tuple[Party, ...] = (ROOT,)
    others: tuple[Party, ...] = (CA, TIME_CA)
    crls: tuple[bytes, ...] = (ROOT_LIST, CA_LIST)
    ocsps: tuple[bytes, ...] = ()

    def check(self, party: Party = SEAL, at: float | dt.datetime = SEALED, **options: Any) -> ValidationPath:
        return check_path(
            party.asn1,
            day(at) if isinstance(at, float | int) else at,
            roots=[each.asn1 for each in self.roots],
            others=[each.asn1 for each in self.others],
            crls=self.crls,
            ocsps=self.ocsps,
            **{"usage": "seal", **options},
        )

    def refuses(self, match: str, party: Party = SEAL, at: float | dt.datetime = SEALED, **options: Any) -> None:
        with pytest.raises(PathError, match=match) as refused:
            self.check(party, at, **options)
        assert str(refused.value).endswith(".")


FILE = File()
TIMES = File(roots=(TIME_ROOT,), crls=(TIME_ROOT_LIST, TIME_CA_LIST))


def names(path: ValidationPath) -> list[str]:
    return [name_of(each) for each in path.iter_certs(include_root=True)]
