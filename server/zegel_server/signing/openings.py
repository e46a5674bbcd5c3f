"""Commits to a request's boxes, and makes ``openings.json``, which opens the commitments of its trail.

Invariants:

* The result depends only on the request as it was sent and on the tenant's own key, never on when it is made.
* Once the tenant's keys are destroyed, the server can no longer open any commitment.
"""

from itertools import accumulate
from typing import Final

from zegel.evidence.commitments import SEALED, Box, SealedOpening, boxes_salt, commit_boxes, document_salt
from zegel.evidence.openings import OpenedDocument, Openings
from zegel_server.db import Reader
from zegel_server.keys.service import Keys
from zegel_server.signing.field_types import entry_of
from zegel_server.signing.repository import RequestRepository
from zegel_server.signing.request import SignatureRequest

SEALED_VERSION: Final = 1
"""A sealed document has one version."""


def boxes_of(request: SignatureRequest) -> list[Box]:
    """The boxes in which something may be drawn over a request's rendition: one per field, in order.

    Args:
        request: The request.
    """
    before = [0, *accumulate(document.page_count for document in request.documents)]
    return [
        Box(
            page=before[field.document_index] + field.page,
            x=_thousandths(field.x),
            y=_thousandths(field.y),
            # A field has a width above zero, so its box must have one too.
            width=max(_thousandths(field.width), 1),
            height=max(_thousandths(field.height), 1),
            signature=signature_id,
            type=field.type.value,
            time_zone=request.time_zones.get(signature_id, "") if entry_of(field.type).fill is not None else "",
        )
        for field in request.fields
        for signature_id in (request.progress.signatures[field.signer_index].signature_id,)
    ]


def _thousandths(points: float) -> int:
    return round(points * 1000)


async def committed_boxes(keys: Keys, request: SignatureRequest) -> str:
    """The commitment to a request's boxes, for the event that sends the request.

    Args:
        keys: Gives the tenant's own key.
        request: The request.

    Raises:
        Unavailable: The key provider does not answer.
    """
    return commit_boxes(boxes_salt(await keys.own_key(request.tenant_id), request.audit_id), boxes_of(request))


async def openings_of(keys: Keys, request: SignatureRequest, sealed_document_id: str = "") -> bytes:
    """What opens the commitments of a request's trail: ``openings.json``.

    Args:
        keys: Gives the tenant's own key.
        request: The request.
        sealed_document_id: Identifier of its sealed document, which need not exist yet; empty if unknown.

    Returns:
        The file; empty for a request sent before renditions existed, whose trail has plain hashes.

    Raises:
        Unavailable: The key provider does not answer.
    """
    if request.rendition is None:
        return b""
    key = await keys.own_key(request.tenant_id)
    sealed = None
    if sealed_document_id:
        salt = document_salt(key, SEALED, sealed_document_id, SEALED_VERSION)
        sealed = SealedOpening(sealed_document_id, SEALED_VERSION, salt)
    documents = tuple(
        OpenedDocument(each, document_salt(key, each.content, each.document, each.version))
        for each in request.document_hashes
    )
    return Openings(documents, tuple(boxes_of(request)), boxes_salt(key, request.audit_id), sealed).format()


class TrailOpenings:
    """Gives the audit trail what opens the commitments of a request.

    Args:
        reader: Where the rows are.
        keys: Gives the tenants' own keys.
    """

    def __init__(self, reader: Reader, keys: Keys) -> None:
        self._requests = RequestRepository(reader, keys)
        self._keys = keys

    async def __call__(self, tenant_id: str, signature_request_id: str) -> bytes:
        """What opens the commitments of a request's trail; see ``openings_of``.

        Args:
            tenant_id: Whose it is.
            signature_request_id: The request.
        """
        request = await self._requests.get(tenant_id, signature_request_id, with_people=False)
        return await openings_of(self._keys, request, request.sealed_document_id)
