"""What was found in an original, as JSON in its version's row. No I/O.

Invariants:

* ``findings_from_text(findings_to_text(facts))`` equals ``facts``, except for the pages.
* A row older than a check reads as if the check had found nothing.
"""

import json
from dataclasses import asdict, fields

from zegel_server.pdf.model import Findings, FoundSignature, PageDifference, PdfFacts

_KNOWN = frozenset(field.name for field in fields(Findings))


def findings_to_text(facts: PdfFacts) -> str:
    """Serialises the findings for a row.

    Args:
        facts: What is known of the original.
    """
    found = {name: value for name, value in asdict(facts).items() if name in _KNOWN and value}
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def findings_from_text(text: str) -> Findings:
    """Parses the findings of a row.

    Args:
        text: What the row holds.
    """
    found = {name: value for name, value in json.loads(text).items() if name in _KNOWN}
    for name in ("fonts_substituted", "fonts_missing"):
        found[name] = tuple(found.get(name, ()))
    found["signatures"] = tuple(FoundSignature(**each) for each in found.get("signatures", ()))
    found["differences"] = tuple(PageDifference(**each) for each in found.get("differences", ()))
    return Findings(**found)
