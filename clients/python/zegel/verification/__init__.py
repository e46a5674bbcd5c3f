"""Verifying a sealed PDF offline: with the file, the log's verifier key and the roots one trusts, and nothing else.

It needs the extra ``zegel[cli]`` (pyHanko); the rest of ``zegel`` does not import it.

A report is good only if all of this holds:

* **structure**: one seal, then document timestamps; the last one covers the entire file, to its last byte;
* **document_timestamp**: every byte that the last timestamp does not cover is accounted for (:mod:`.container`);
* **seal**: a valid PAdES B-LTA certification signature that permits no changes, under the trusted roots;
* **changes**: after it, only validation data and timestamps were added;
* **evidence**: the audit trail and its proof are attached, under the seal;
* **audit_trail**: the trail is whole, unedited and in a trusted log (:mod:`zegel.evidence`);
* **detached_proof**, when given: the log knows this very file.
"""

from zegel.verification._verify import PROOF_NAME, TRAIL_NAME, load_certificates, verify_pdf
from zegel.verification.report import Check, Document, Event, Facts, Report

__all__ = [
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
