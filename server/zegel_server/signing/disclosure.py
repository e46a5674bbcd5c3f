"""The electronic record and signature disclosure that each signer accepts before signing, in its newest version.

The event of the acceptance names the text's SHA-256, to prove later what was accepted; all versions are in
``zegel.evidence.disclosures``.
"""

from typing import Final

from zegel.evidence.disclosures import DISCLOSURES, Disclosure

NEWEST: Final = DISCLOSURES[-1]
"""What a signer who has accepted none is shown, and accepts."""


def shown_to(accepted: int) -> Disclosure:
    """The disclosure that a signer is shown.

    Args:
        accepted: The version that the signer has accepted; 0 for none.
    """
    return DISCLOSURES[accepted - 1] if accepted else NEWEST
