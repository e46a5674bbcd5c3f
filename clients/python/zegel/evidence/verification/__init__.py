"""Verifying a sealed PDF offline, with only the file, the log's verifier key and trusted root certificates.

It needs the extra ``zegel[cli]`` (pyHanko); the rest of ``zegel`` does not import it, and what is named here loads it
on first use (PEP 562), so that a program that only wants a module beside it, such as the reader of DER, does not.

A report is good only if all of these checks pass:

* **structure**: every byte is where the canonical form of a sealed file has it (:mod:`zegel.evidence.sealed_file`);
* **document_timestamp**: the newest timestamp covers all of the file but itself, every byte of each timestamp is
  accounted for, each was valid at the time of the next, and the newest still is (:mod:`.signatures`);
* **seal**: a valid certification signature that permits no changes, whose certificate leads to a root trusted for
  seals;
* **audit_trail**: the trail is whole, unedited and in a trusted log (:mod:`zegel.evidence.trail`);
* **rendition**: the file begins with the bytes that every signer's event commits to, and nothing was added to these
  pages but stamps in boxes that the request named;
* **seal_certificate**: the certificate that sealed is the one that the trail named before;
* **detached_proof**, when given: this very file is in the log.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zegel.evidence.verification._verify import (
        OPENINGS_NAME,
        PROOF_NAME,
        TRAIL_NAME,
        load_certificates,
        verify_pdf,
    )
    from zegel.evidence.verification.report import Check, Day, Document, Event, Facts, Report

__all__ = [
    "OPENINGS_NAME",
    "PROOF_NAME",
    "TRAIL_NAME",
    "Check",
    "Day",
    "Document",
    "Event",
    "Facts",
    "Report",
    "load_certificates",
    "verify_pdf",
]

_REPORT = frozenset({"Check", "Day", "Document", "Event", "Facts", "Report"})

if not TYPE_CHECKING:  # a type checker would otherwise accept any attribute

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f"{__name__}.{'report' if name in _REPORT else '_verify'}")
        found = globals()[name] = getattr(module, name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
