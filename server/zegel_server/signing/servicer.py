"""SigningService and CeremonyService: they only convert between messages and the model."""

from typing import Any

from zegel.signing.v1 import ceremony_service_pb2 as ceremony_pb
from zegel.signing.v1 import ceremony_service_pb2_grpc as ceremony_rpc
from zegel.signing.v1 import signing_service_pb2 as pb
from zegel.signing.v1 import signing_service_pb2_grpc as rpc
from zegel_server import clock
from zegel_server.caller import Caller, current_caller
from zegel_server.edge import paging, validation
from zegel_server.edge.idempotency import Answers, Keep
from zegel_server.identity.model import SIGNER_LINK, SIGNER_SESSION
from zegel_server.signing import messages
from zegel_server.signing.ceremony import Ceremony
from zegel_server.signing.links import NewLink, SignerLinks
from zegel_server.signing.service import Signing


class SigningServicer(rpc.SigningServiceServicer):
    """See ``zegel.signing.v1.SigningService``.

    Args:
        signing: The use cases.
        links: The use cases of signer links.
        answers: Earlier answers.
    """

    def __init__(self, signing: Signing, links: SignerLinks, answers: Answers) -> None:
        self._signing = signing
        self._links = links
        self._answers = answers

    async def CreateSignatureRequest(
        self, request: pb.CreateSignatureRequestRequest, context: Any
    ) -> pb.CreateSignatureRequestResponse:
        """See the contract."""
        caller = current_caller()

        async def restore(before: pb.CreateSignatureRequestResponse) -> None:
            known = await self._signing.get(caller, before.signature_request.signature_request_id)
            messages.restore_request(before.signature_request, known)

        return await self._answers.once(
            caller,
            request,
            pb.CreateSignatureRequestResponse,
            lambda keep: self._signing.create(caller, messages.new_request(request), keep),
            lambda sent: pb.CreateSignatureRequestResponse(signature_request=messages.request_message(sent)),
            kept=lambda sent: pb.CreateSignatureRequestResponse(
                signature_request=messages.request_message(sent, bare=True)
            ),
            restore=restore,
        )

    async def GetSignatureRequest(
        self, request: pb.GetSignatureRequestRequest, context: Any
    ) -> pb.GetSignatureRequestResponse:
        """See the contract."""
        found = await self._signing.get(current_caller(), request.signature_request_id)
        return pb.GetSignatureRequestResponse(signature_request=messages.request_message(found))

    async def ListSignatureRequests(
        self, request: pb.ListSignatureRequestsRequest, context: Any
    ) -> pb.ListSignatureRequestsResponse:
        """See the contract."""
        asked = paging.page_request(request)
        shown = validation.read_mask(request.read_mask, messages.REQUEST_FIELDS, messages.REQUEST_SUMMARY)
        page = await self._signing.list_page(
            current_caller(), asked, state=messages.state_name(request.state), fields=shown
        )
        return pb.ListSignatureRequestsResponse(
            signature_requests=[messages.request_message(each, shown) for each in page.items],
            next_page_token=paging.next_token(request, page),
        )

    async def UpdateSignatureRequest(
        self, request: pb.UpdateSignatureRequestRequest, context: Any
    ) -> pb.UpdateSignatureRequestResponse:
        """See the contract."""
        validation.mask(request.update_mask, request.signature_request, ("expire_time",))
        asked = request.signature_request
        expire_time = validation.expiry_if_any(asked, "signature_request.expire_time")
        changed = await self._signing.reschedule(current_caller(), asked.signature_request_id, expire_time, asked.etag)
        return pb.UpdateSignatureRequestResponse(signature_request=messages.request_message(changed))

    async def CancelSignatureRequest(
        self, request: pb.CancelSignatureRequestRequest, context: Any
    ) -> pb.CancelSignatureRequestResponse:
        """See the contract."""
        canceled = await self._signing.cancel(
            current_caller(),
            request.signature_request_id,
            request.etag,
            signers_keep_access=request.signers_keep_access,
        )
        return pb.CancelSignatureRequestResponse(signature_request=messages.request_message(canceled))

    async def MoveSignatureRequest(
        self, request: pb.MoveSignatureRequestRequest, context: Any
    ) -> pb.MoveSignatureRequestResponse:
        """See the contract."""
        moved = await self._signing.move(current_caller(), request.signature_request_id, request.owner_id, request.etag)
        return pb.MoveSignatureRequestResponse(signature_request=messages.request_message(moved))

    async def CreateSignerSession(
        self, request: pb.CreateSignerSessionRequest, context: Any
    ) -> pb.CreateSignerSessionResponse:
        """See the contract."""
        expire_time = validation.expiry(request, SIGNER_SESSION)
        opened = await self._signing.open_session(
            current_caller(), request.signature_request_id, request.signature_id, expire_time
        )
        return pb.CreateSignerSessionResponse(
            session_id=opened.session_id, token=opened.token, expire_time=clock.to_timestamp(opened.expire_time)
        )

    async def CreateSignerLink(self, request: pb.CreateSignerLinkRequest, context: Any) -> pb.CreateSignerLinkResponse:
        """See the contract."""
        caller = current_caller()
        request_id, signature_id = request.signature_request_id, request.signature_id

        async def create(keep: Keep[NewLink]) -> NewLink:
            expire_time = validation.expiry(request, SIGNER_LINK)
            return await self._links.create(caller, request_id, signature_id, expire_time, keep=keep)

        async def restore(before: pb.CreateSignerLinkResponse) -> None:
            before.token = await self._links.renew(caller, request_id, signature_id, before.signer_link_id)

        return await self._answers.once(
            caller,
            request,
            pb.CreateSignerLinkResponse,
            create,
            lambda made: pb.CreateSignerLinkResponse(
                signer_link_id=made.signer_link_id, token=made.token, expire_time=clock.to_timestamp(made.expire_time)
            ),
            restore=restore,
        )

    async def ListSignerLinks(self, request: pb.ListSignerLinksRequest, context: Any) -> pb.ListSignerLinksResponse:
        """See the contract."""
        asked = paging.page_request(request)
        page = await self._links.list_page(current_caller(), request.signature_request_id, asked)
        return pb.ListSignerLinksResponse(
            signer_links=[messages.link_message(*each) for each in page.items],
            next_page_token=paging.next_token(request, page),
        )

    async def RevokeSignerLink(self, request: pb.RevokeSignerLinkRequest, context: Any) -> pb.RevokeSignerLinkResponse:
        """See the contract."""
        await self._links.revoke(current_caller(), request.signature_request_id, request.signer_link_id)
        return pb.RevokeSignerLinkResponse()


class CeremonyServicer(ceremony_rpc.CeremonyServiceServicer):
    """See ``zegel.signing.v1.CeremonyService``.

    Args:
        ceremony: The use cases.
        answers: Earlier answers.
    """

    def __init__(self, ceremony: Ceremony, answers: Answers) -> None:
        self._ceremony = ceremony
        self._answers = answers

    async def OpenCeremony(
        self, request: ceremony_pb.OpenCeremonyRequest, context: Any
    ) -> ceremony_pb.OpenCeremonyResponse:
        """See the contract."""
        view = await self._ceremony.open(_caller(request))
        return ceremony_pb.OpenCeremonyResponse(ceremony=messages.ceremony_message(view))

    async def GetCeremony(
        self, request: ceremony_pb.GetCeremonyRequest, context: Any
    ) -> ceremony_pb.GetCeremonyResponse:
        """See the contract."""
        view = await self._ceremony.get(current_caller())
        return ceremony_pb.GetCeremonyResponse(ceremony=messages.ceremony_message(view))

    async def AcceptDisclosure(
        self, request: ceremony_pb.AcceptDisclosureRequest, context: Any
    ) -> ceremony_pb.AcceptDisclosureResponse:
        """See the contract."""
        view = await self._ceremony.accept_disclosure(_caller(request), request.disclosure_version)
        return ceremony_pb.AcceptDisclosureResponse(ceremony=messages.ceremony_message(view))

    async def FillFields(self, request: ceremony_pb.FillFieldsRequest, context: Any) -> ceremony_pb.FillFieldsResponse:
        """See the contract."""
        view = await self._ceremony.fill(_caller(request), messages.new_values(request.values))
        return ceremony_pb.FillFieldsResponse(ceremony=messages.ceremony_message(view))

    async def SignDocuments(
        self, request: ceremony_pb.SignDocumentsRequest, context: Any
    ) -> ceremony_pb.SignDocumentsResponse:
        """See the contract."""
        caller = _caller(request)

        async def restore(before: ceremony_pb.SignDocumentsResponse) -> None:
            messages.restore_ceremony(before.ceremony, await self._ceremony.get(caller))

        return await self._answers.once(
            caller,
            request,
            ceremony_pb.SignDocumentsResponse,
            lambda keep: self._ceremony.sign(caller, keep),
            lambda view: ceremony_pb.SignDocumentsResponse(ceremony=messages.ceremony_message(view)),
            kept=lambda view: ceremony_pb.SignDocumentsResponse(ceremony=messages.ceremony_message(view, bare=True)),
            restore=restore,
        )

    async def DeclineSignature(
        self, request: ceremony_pb.DeclineSignatureRequest, context: Any
    ) -> ceremony_pb.DeclineSignatureResponse:
        """See the contract."""
        view = await self._ceremony.decline(_caller(request), request.reason)
        return ceremony_pb.DeclineSignatureResponse(ceremony=messages.ceremony_message(view))


def _caller(request: messages.FromSigner) -> Caller:
    """The caller, with what it asserts of where the signer is.

    Raises:
        InvalidArgument: That is no address, no program or no time zone.
    """
    caller = current_caller()
    return caller._replace(origin=messages.origin(caller.origin, request))
