"""What is offered of a service, and what keeps a server from starting."""

from typing import Any

import pytest

from support.edge import PREFIX, SERVICE, Servicer
from zegel.document.v1 import document_service_pb2 as pb
from zegel.document.v1.document_service_pb2_grpc import DocumentServiceServicer
from zegel_server.edge.endpoints import Codec, endpoints_of
from zegel_server.edge.methods import ContractError, read_contracts

CONTRACTS = read_contracts([SERVICE])


class Partial(DocumentServiceServicer):
    async def GetDocument(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - the contract's name
        return pb.GetDocumentResponse()


def test_each_method_of_a_contract_is_offered_as_the_contract_has_it() -> None:
    servicer = Servicer()
    offered = {each.method.path: each for each in endpoints_of(SERVICE, servicer, CONTRACTS)}
    assert offered.keys() == CONTRACTS.keys()
    get, up, down = (offered[PREFIX + name] for name in ("GetDocument", "UploadDocument", "DownloadDocument"))
    assert [(each.client_streams, each.server_streams) for each in (get, up, down)] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    request = pb.GetDocumentRequest(document_id="doc_1")
    assert get.parse(request.SerializeToString()) == request
    answer = pb.GetDocumentResponse(document=pb.Document(title="Lease"))
    assert get.serialise(answer) == answer.SerializeToString()
    assert get.serve == servicer.GetDocument


def test_a_method_without_a_contract_is_not_offered() -> None:
    contracts = {path: method for path, method in CONTRACTS.items() if path != PREFIX + "GetDocument"}
    offered = {each.method.path for each in endpoints_of(SERVICE, Servicer(), contracts)}
    assert offered == contracts.keys()


@pytest.mark.parametrize("servicer", [object, Partial], ids=["nothing", "what was generated"])
def test_a_method_that_nothing_serves_is_named(servicer: type) -> None:
    contracts = {path: CONTRACTS[path] for path in (PREFIX + "GetDocument", PREFIX + "UploadDocument")}
    with pytest.raises(ContractError, match="has no servicer"):
        list(endpoints_of(SERVICE, servicer(), contracts))


def test_a_codec_of_its_own_is_used_for_the_side_that_it_names() -> None:
    codecs = {"GetDocument": Codec(parse=len), "PurgeDocument": Codec(serialise=repr)}  # type: ignore[arg-type]
    offered = {each.method.path: each for each in endpoints_of(SERVICE, Servicer(), CONTRACTS, codecs)}
    assert offered[PREFIX + "GetDocument"].parse(b"four") == 4
    assert offered[PREFIX + "GetDocument"].serialise(pb.GetDocumentResponse()) == b""
    assert offered[PREFIX + "PurgeDocument"].serialise("x") == "'x'"  # type: ignore[comparison-overlap]
    assert offered[PREFIX + "PurgeDocument"].parse(b"") == pb.PurgeDocumentRequest()
