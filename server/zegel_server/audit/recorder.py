"""Recording events: each in the transaction of the change that it describes.

A use case drafts its event before its transaction begins, because the subject's key may have to be fetched, and records
it inside the transaction. The sequencer gives it its index in the log afterwards.

Invariants:

* The leaf has no personal data in it, only a commitment under the subject's key. The data itself is stored in the
  event's row, encrypted under the same key, so that destroying the key erases it.
* Nor does it have a document's hash, only a commitment with a salt derived from the tenant's own key.
* An event is recorded with the change or not at all.
* Access can be taken away while a tenant's key is unavailable: such events, and refusals, are then recorded without the
  personal data and without documents, and say so. Nothing is ever written under another key, or in the clear.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from zegel.event.v1 import event_type_pb2 as events
from zegel.evidence.commitments import DocumentHash, commit_document, document_salt
from zegel.evidence.leaves import ASSERTED
from zegel_server import clock
from zegel_server.audit import leaf
from zegel_server.audit import trail_quota as allowance
from zegel_server.audit.leaf import DocumentCommitment, LeafFields, commitment
from zegel_server.audit.model import type_name
from zegel_server.caller import Caller, PrincipalKind, Share
from zegel_server.db import Transaction, insert_into
from zegel_server.db.schema import audit_events
from zegel_server.errors import ZegelError
from zegel_server.ids import new_id
from zegel_server.keys.providers import is_key_away
from zegel_server.keys.service import Keys

TAKES_AWAY: Final = frozenset(
    {
        events.EVENT_TYPE_SESSION_REVOKED,
        events.EVENT_TYPE_API_KEY_REVOKED,
        events.EVENT_TYPE_SIGNER_LINK_REVOKED,
        events.EVENT_TYPE_MEMBER_DELETED,
        events.EVENT_TYPE_ROLE_TAKEN,
        events.EVENT_TYPE_TEAM_MEMBER_REMOVED,
        events.EVENT_TYPE_DELEGATION_ENDED,
        events.EVENT_TYPE_IDENTITY_PROVIDER_DELETED,
        events.EVENT_TYPE_ACCESS_DENIED,
        events.EVENT_TYPE_STEP_UP_REQUIRED,
        events.EVENT_TYPE_SIGN_IN_FAILED,
    }
)
"""Events that only take access away, and refusals: recorded even without the tenant's key (ADR 0011)."""
KEY_AWAY: Final = "key_away"
"""The value of ``personal_missing`` and ``documents_missing`` in the leaf of such an event."""

_SIGNER: Final = PrincipalKind.SIGNER.lower()

_INSERT: Final = insert_into(
    audit_events,
    "event_id",
    "tenant_id",
    "signature_request_id",
    "trail",
    "event_type",
    "event_time",
    "principal_id",
    "subject_id",
    "personal",
    "body",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event that is about to be recorded.

    Attributes:
        event_type: A value of ``zegel.event.v1.EventType``.
        tenant_id: The tenant it happens in.
        tenant: That tenant's pseudonym, as the leaf has it.
        principal_id: Who does it; empty for the server itself.
        actor_kind: What kind of principal that is.
        session_id: The session it is done in; empty for the server itself.
        auth: How the actor authenticated; empty for the server itself.
        policy_version: Version of the policy that decided; 0 if no policy was asked.
        resource_id: The resource it is done to.
        signature_request_id: The signature request it belongs to; empty for others.
        trail: That request's audit ID; empty for others.
        documents: The documents that it concerns; the leaf commits to them.
        document_key: The tenant's own key, from which the salts of these commitments derive; ``None`` if no
            documents are named.
        refused: Whether it was refused.
        acting: The delegation under which it is done, or ``None``.
        extra: Further facts for the leaf, none of them personal.
        subject_id: The subject whose personal data ``personal`` is; empty for none.
        commitment: Commitment to the personal data, or ``None``.
        personal: The personal data, encrypted under the subject's key, or ``None``.
        key_away: Whether personal data is left out because the subject's key was unavailable.
        documents_away: Whether documents are left out because the tenant's own key was unavailable.
    """

    event_type: int
    tenant_id: str
    tenant: str
    principal_id: str = ""
    actor_kind: str = "system"
    session_id: str = ""
    auth: str = ""
    policy_version: int = 0
    resource_id: str = ""
    signature_request_id: str = ""
    trail: str = ""
    documents: tuple[DocumentHash, ...] = ()
    document_key: bytes | None = field(default=None, repr=False)
    refused: bool = False
    acting: Share | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    subject_id: str = ""
    commitment: str | None = None
    personal: bytes | None = None
    key_away: bool = False
    documents_away: bool = False

    def about(self, **changes: Any) -> "Draft":
        """Returns the event with facts added that became known inside the transaction.

        Args:
            changes: The attributes to set.
        """
        return replace(self, **changes)


class Recorder:
    """Drafts and records events.

    Args:
        keys: Provides the subjects' keys and the tenants' pseudonyms.
        recorded: Called once an event is durable: the sequencer has work.
    """

    def __init__(self, keys: Keys, recorded: Callable[[], None] = lambda: None) -> None:
        self._keys = keys
        self.recorded = recorded

    async def draft(
        self,
        caller: Caller,
        event_type: int,
        *,
        resource_id: str = "",
        signature_request_id: str = "",
        trail: str = "",
        documents: Sequence[DocumentHash] | None = (),
        refused: bool = False,
        extra: Mapping[str, Any] | None = None,
        personal: Mapping[str, str] | None = None,
    ) -> Draft:
        """Drafts an event that a caller causes.

        Args:
            caller: Who does it.
            event_type: A value of ``zegel.event.v1.EventType``.
            resource_id: The resource it is done to.
            signature_request_id: The signature request it belongs to.
            trail: That request's audit ID.
            documents: The documents it concerns; ``None`` if they become known inside the transaction, and are then
                added with ``about``.
            refused: Whether it was refused.
            extra: Further facts for the leaf, none of them personal.
            personal: Personal data of the caller besides the call's origin, such as ``name`` and ``email``. What the
                caller asserts of a signer's origin is kept with it, and the leaf says which facts these are.

        Raises:
            Unavailable: The key provider does not answer, and the event is not one of ``TAKES_AWAY``.
        """
        data = {**caller.origin._asdict(), **(personal or {})}
        data = {name: value for name, value in data.items() if value}
        sealed, promise = None, None
        key, away = None, False
        try:
            key = await self._keys.subject_key(caller.subject_id) if data and caller.subject_id else None
        except ZegelError as error:
            if event_type not in TAKES_AWAY or not is_key_away(error):
                raise
            away = True
        document_key, documents_away = None, False
        try:
            document_key = await self._document_key(caller.tenant_id, documents)
        except ZegelError as error:
            if event_type not in TAKES_AWAY or not is_key_away(error):
                raise
            documents_away = True
        if key is not None:
            sealed = self._keys.encrypt_personal(key, data, caller.subject_id)
            promise = commitment(key, data)
            if caller.origin.asserted:
                extra = {**(extra or {}), ASSERTED: list(caller.origin.asserted)}
        return Draft(
            event_type=event_type,
            tenant_id=caller.tenant_id,
            tenant=await self._keys.pseudonym(caller.tenant_id),
            principal_id=caller.principal_id,
            actor_kind=caller.kind.lower(),
            session_id=caller.session_id,
            auth="api_key" if caller.session_id == caller.principal_id else "session",
            policy_version=caller.policy_version,
            resource_id=resource_id,
            signature_request_id=signature_request_id,
            trail=trail,
            documents=tuple(documents or ()),
            document_key=document_key,
            refused=refused,
            acting=caller.acting,
            extra=extra or {},
            subject_id=caller.subject_id if sealed else "",
            commitment=promise,
            personal=sealed,
            key_away=away,
            documents_away=documents_away,
        )

    async def draft_own(
        self,
        tenant_id: str,
        event_type: int,
        *,
        resource_id: str = "",
        signature_request_id: str = "",
        trail: str = "",
        documents: Sequence[DocumentHash] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> Draft:
        """Drafts an event that the server itself causes, such as an expiry.

        Args:
            tenant_id: The tenant it happens in.
            event_type: A value of ``zegel.event.v1.EventType``.
            resource_id: The resource it is done to.
            signature_request_id: The signature request it belongs to.
            trail: That request's audit ID.
            documents: The documents it concerns.
            extra: Further facts for the leaf, none of them personal.

        Raises:
            Unavailable: Documents are named, and the key provider does not answer.
        """
        return Draft(
            event_type=event_type,
            tenant_id=tenant_id,
            tenant=await self._keys.pseudonym(tenant_id),
            resource_id=resource_id,
            signature_request_id=signature_request_id,
            trail=trail,
            documents=tuple(documents),
            document_key=await self._document_key(tenant_id, documents),
            extra=extra or {},
        )

    async def _document_key(self, tenant_id: str, documents: Sequence[DocumentHash] | None) -> bytes | None:
        """The key from which the salts of documents derive; ``None`` if no documents are named."""
        return None if documents is not None and not documents else await self._keys.own_key(tenant_id)

    async def record(self, transaction: Transaction, draft: Draft) -> str:
        """Records an event in a transaction.

        Args:
            transaction: The transaction of the change that the event describes.
            draft: The event.

        Returns:
            Its identifier.

        Raises:
            InvalidLeaf: It is too long for a leaf.
            ResourceExhausted: The request's trail takes no more such events from this party (``TRAIL_FULL``).
        """
        signer = draft.principal_id if draft.actor_kind == _SIGNER else ""
        if not await allowance.spend(transaction, draft.trail, draft.event_type, signer):
            draft = draft.about(trail="", extra={**draft.extra, "beyond_trail": draft.trail})
        event_id, event_time = new_id("evt"), clock.now()
        await transaction.execute(
            _INSERT,
            event_id=event_id,
            tenant_id=draft.tenant_id,
            signature_request_id=draft.signature_request_id,
            trail=draft.trail,
            event_type=draft.event_type,
            event_time=event_time,
            principal_id=draft.principal_id,
            subject_id=draft.subject_id,
            personal=draft.personal,
            body=_leaf_draft(draft, event_id, event_time),
        )
        transaction.after_commit(self.recorded)
        return event_id


def _leaf_draft(draft: Draft, event_id: str, event_time: int) -> str:
    """The leaf without its position in the trail, which only the sequencer knows."""
    extra = draft.extra
    if draft.documents_away:
        extra = {**extra, "documents_missing": KEY_AWAY}
    if draft.acting is not None:
        extra = {**extra, "delegation": draft.acting.delegation_id, "delegator": draft.acting.owner_id}
    if draft.key_away:
        extra = {**extra, "personal_missing": KEY_AWAY}
    if draft.session_id:
        extra = {**extra, "session": draft.session_id} if extra else {"session": draft.session_id}
    return leaf.draft(
        LeafFields(
            event_id=event_id,
            tenant=draft.tenant or None,
            trail=draft.trail or None,
            seq=None,
            prev=None,
            type=type_name(draft.event_type),
            time=clock.to_datetime(event_time),
            actor=draft.principal_id or None,
            actor_kind=draft.actor_kind,
            auth=draft.auth or None,
            decision="refused" if draft.refused else "allowed",
            policy_version=draft.policy_version,
            documents=() if draft.documents_away else commitments_to(draft.documents, draft.document_key),
            resource=draft.resource_id or None,
            personal=draft.commitment,
            extra=extra,
        )
    )


def commitments_to(documents: Sequence[DocumentHash], key: bytes | None) -> tuple[DocumentCommitment, ...]:
    """The commitments by which a leaf refers to documents.

    Args:
        documents: The documents to commit to.
        key: The tenant's own key.

    Raises:
        ValueError: There are documents but no key.
    """
    if not documents:
        return ()
    if key is None:
        raise ValueError("an event names documents, and was drafted without a key to commit to them")
    return tuple(
        DocumentCommitment(
            each.document,
            each.version,
            commit_document(document_salt(key, each.content, each.document, each.version), each),
            each.content,
        )
        for each in documents
    )
