"""Verifying a sealed PDF offline: with the file, the log's verifier key and the roots one trusts, and nothing else.

It needs the extra ``zegel[cli]`` (pyHanko); the rest of ``zegel`` does not import it.

A report is good only if all of this holds:

* **structure**: every byte is where the one form of a sealed file has it (:mod:`zegel.evidence.sealed_file`);
* **document_timestamp**: the newest timestamp covers all of the file but itself, every byte of each timestamp is
  accounted for, and each was valid at the time of the next, the newest still is (:mod:`.signatures`);
* **seal**: a valid certification that permits no changes, by a certificate that leads to the roots for seals;
* **audit_trail**: the trail is whole, unedited and in a trusted log (:mod:`zegel.evidence.trail`);
* **rendition**: the file begins with the bytes that every signer's event binds, and nothing was added to their pages
  but stamps in boxes that the request named;
* **seal_certificate**: the certificate that sealed is the one that the trail named before;
* **detached_proof**, when given: the log knows this very file.
"""

from zegel.evidence.verification._verify import OPENINGS_NAME, PROOF_NAME, TRAIL_NAME, load_certificates, verify_pdf
from zegel.evidence.verification.report import Check, Document, Event, Facts, Report

__all__ = [
    "OPENINGS_NAME",
    "PROOF_NAME",
    "TRAIL_NAME",
    "Check",
    "Document",
    "Event",
    "Facts",
    "Report",
    "load_certificates",
    "verify_pdf",
]
