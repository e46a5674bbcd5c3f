"""AuditService: converts messages to the model and back."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from zegel.audit.v1 import audit_service_pb2 as pb
from zegel.audit.v1 import audit_service_pb2_grpc as rpc
from zegel.event.v1 import event_type_pb2
from zegel.event.v1.asserted_origin_pb2 import AssertedOrigin
from zegel_server import clock
from zegel_server.audit.model import LAST, AuditEvent, EventFilter
from zegel_server.audit.service import AuditTrail
from zegel_server.caller import current_caller
from zegel_server.edge import paging, validation
from zegel_server.errors import InvalidArgument


class AuditServicer(rpc.AuditServiceServicer):
    """See ``zegel.audit.v1.AuditService``.

    Args:
        trail: The use cases.
    """

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    async def ListEvents(self, request: pb.ListEventsRequest, context: Any) -> pb.ListEventsResponse:
        """See the contract."""
        asked = paging.page_request(request, int)
        wanted = EventFilter(
            signature_request_id=request.signature_request_id,
            types=_types(request.types),
            principal_id=request.principal_id,
            start_time=validation.time(request.start_time, "start_time") if request.HasField("start_time") else 0,
            end_time=validation.time(request.end_time, "end_time") if request.HasField("end_time") else LAST,
        )
        page = await self._trail.list_events(current_caller(), wanted, asked)
        return pb.ListEventsResponse(
            events=[_event(each) for each in page.items],
            next_page_token=paging.next_token(request, page),
        )

    async def WatchEvents(self, request: pb.WatchEventsRequest, context: Any) -> AsyncIterator[pb.WatchEventsResponse]:
        """See the contract."""
        if request.start_index < 0:
            raise InvalidArgument("start_index", "must not be negative")
        wanted = EventFilter(signature_request_id=request.signature_request_id, types=_types(request.types))
        async for event in self._trail.watch(current_caller(), wanted, first=request.start_index):
            yield pb.WatchEventsResponse(event=_event(event))

    async def GetTransaction(self, request: pb.GetTransactionRequest, context: Any) -> pb.GetTransactionResponse:
        """See the contract."""
        found = await self._trail.transaction(current_caller(), request.audit_id)
        return pb.GetTransactionResponse(
            signature_request_id=found.signature_request_id,
            events=[_event(each) for each in found.events],
            audit_jsonl=found.evidence.audit_jsonl,
            proof=found.evidence.proof,
            sealed_proof=found.sealed_proof,
            openings=found.openings,
        )

    async def GetCheckpoint(self, request: pb.GetCheckpointRequest, context: Any) -> pb.GetCheckpointResponse:
        """See the contract."""
        head = await self._trail.checkpoint()
        return pb.GetCheckpointResponse(
            checkpoint=head.checkpoint, verifier_key=self._trail.verifier_key, size=head.size
        )

    async def GetInclusionProof(
        self, request: pb.GetInclusionProofRequest, context: Any
    ) -> pb.GetInclusionProofResponse:
        """See the contract."""
        return pb.GetInclusionProofResponse(proof=await self._trail.inclusion_proof(current_caller(), request.event_id))

    async def GetConsistencyProof(
        self, request: pb.GetConsistencyProofRequest, context: Any
    ) -> pb.GetConsistencyProofResponse:
        """See the contract."""
        if not request.first_size:
            raise InvalidArgument("first_size", "must be at least 1", reason="MISSING_FIELD")
        proof = await self._trail.consistency_proof(request.first_size, request.second_size)
        return pb.GetConsistencyProofResponse(
            second_size=proof.second_size, hashes=proof.hashes, checkpoint=proof.checkpoint
        )


def _types(types: Sequence[int]) -> frozenset[int]:
    known = event_type_pb2.EventType.DESCRIPTOR.values_by_number
    for index, number in enumerate(types):
        if number == 0 or number not in known:
            raise InvalidArgument(f"types[{index}]", "must be a type of the catalogue")
    return frozenset(types)


def _event(event: AuditEvent) -> pb.Event:
    personal = event.personal
    return pb.Event(
        event_id=event.event_id,
        log_index=event.log_index,
        type=event.event_type,  # type: ignore[arg-type]
        event_time=clock.to_timestamp(event.event_time),
        principal_id=event.principal_id,
        session_id=event.session_id,
        signature_request_id=event.signature_request_id,
        resource_id=event.resource_id,
        documents=[
            pb.EventDocument(
                document_id=each.document_id,
                version=each.version,
                content=each.content,
                commitment=each.commitment,
                sha256=each.sha256,
            )
            for each in event.documents
        ],
        policy_version=event.policy_version,
        refused=event.refused,
        personal=pb.PersonalData(
            name=personal.get("name", ""),
            email=personal.get("email", ""),
            address=personal.get("address", ""),
            user_agent=personal.get("user_agent", ""),
            asserted_origin=_asserted(personal),
        )
        if personal
        else None,
        leaf=event.leaf,
    )


def _asserted(personal: Mapping[str, str]) -> AssertedOrigin | None:
    said = AssertedOrigin(
        address=personal.get("asserted_address", ""),
        user_agent=personal.get("asserted_user_agent", ""),
        time_zone=personal.get("asserted_time_zone", ""),
    )
    return said if said.ByteSize() else None
