"""The electronic record and signature disclosure that each signer accepts before signing.

The event of the acceptance names the text's SHA-256, to prove later what was accepted.
"""

import hashlib
from typing import Final

TEXT: Final = """\
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
"""
"""The text that a signer accepts. Changing it changes the hash that later events name."""

SHA256: Final = hashlib.sha256(TEXT.encode()).hexdigest()
"""Its SHA-256 in hex, as named in the event of an acceptance."""
