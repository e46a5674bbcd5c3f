"""Looking at an upload: what it is, and whether the rest of the way is open to it."""

from io import BytesIO

import pikepdf

from zegel_server.pdf.model import PdfFacts
from zegel_server.pdf.source import clean, facts, open_source, scrub


def inspect(data: bytes) -> PdfFacts:
    """Look at an untrusted PDF, and clean and write it once for trial, so that nothing refuses it later.

    Args:
        data: The file.

    Raises:
        RefusedError: It cannot be used, and why.
    """
    with open_source(data) as pdf:
        found = facts(pdf)
        clean(pdf)
        with pikepdf.new() as trial:
            trial.pages.extend(pdf.pages)
            scrub(trial)
            trial.save(BytesIO(), deterministic_id=True)
    return found
