"""The electronic record and signature disclosures that signers were ever asked to accept, each word for word.

The event of an acceptance names the SHA-256 of the text that was accepted. It stays readable here, offline, when a
later version has taken its place.

Invariants:

* A text that was published never changes: a change is a new version, appended.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final


@dataclass(frozen=True)
class Disclosure:
    """A version of the disclosure.

    Args:
        version: Its number, from 1.
        text: What a signer reads and accepts.
        shows_origins: Whether it says that the completed document shows from where its signers opened, accepted and
            signed.
    """

    version: int
    text: str
    shows_origins: bool

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of its text in UTF-8, in lower-case hex, as the event of an acceptance names it."""
        return hashlib.sha256(self.text.encode()).hexdigest()


DISCLOSURES: Final = (
    Disclosure(
        1,
        """\
Electronic record and signature disclosure

By accepting, you agree to sign these documents electronically, and to receive them and what belongs to them as \
electronic records.

1. Your electronic signature is meant to have the same effect as one by hand, as far as the law that applies to these \
documents allows it. You need not sign electronically: you can decline, and ask the sender for documents on paper.
2. You can read each document whole before you sign it, and you receive the completed document when \
everybody has signed.
3. When you open, accept, fill in, sign or decline, the time, your network address and your program's name are \
recorded in an audit trail. Names and addresses are stored encrypted; the public log holds only commitments to them.
4. The completed document carries a digital seal and the evidence of its audit trail, so that anybody who has it can \
check that neither was changed.
5. You need a device that can show PDF files, and a way to keep them.
""",
        shows_origins=False,
    ),
    Disclosure(
        2,
        """\
Electronic record and signature disclosure, version 2

By accepting, you agree to sign these documents electronically, and to receive them and what belongs to them as \
electronic records.

1. Your electronic signature is meant to have the same effect as one by hand, as far as the law that applies to these \
documents allows it. You need not sign electronically: you can decline, and ask the sender for documents on paper.
2. You can read each document whole before you sign it, and you receive the completed document when \
everybody has signed.
3. When you open, accept, fill in, sign or decline, an audit trail records the time, and the network address and \
program from which the call reached this service. They are yours if your own device makes the call. Where the sender's \
application makes it for you, they are that application's; it may then state your network address, program and time \
zone, and the audit trail records them as its statement, which this service cannot check.
4. Names, addresses and programs are stored encrypted; the public log holds only commitments to them. The completed \
document shows them to everybody who has it: your name and mail address, and the addresses, programs and time zones \
that were recorded or stated when you opened, accepted and signed.
5. The completed document carries a digital seal and the evidence of its audit trail, so that anybody who has it can \
check that neither was changed.
6. You need a device that can show PDF files, and a way to keep them.
""",
        shows_origins=True,
    ),
)
"""All versions, the newest last."""

_BY_HASH: Final = {each.sha256: each for each in DISCLOSURES}


def find_disclosure(sha256: object) -> Disclosure | None:
    """The version that an event names.

    Args:
        sha256: What the leaf has as ``disclosure``.

    Returns:
        The version, or ``None`` for anything else.
    """
    return _BY_HASH.get(sha256) if isinstance(sha256, str) else None
