"""What signers see of a request once its sender has canceled it, on either database."""

import json
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import grpc
import pytest

import zegel
from support.flow import AWAITING, Office, ready, refused, sign, typed, until
from support.pdfs import one_page, stream
from zegel.document.v1 import document_service_pb2_grpc
from zegel.errors import ZegelError, from_call

IMAGE_SIDE = 2_000
"""Pixels: 12 MB, more than a connection buffers."""


def cancel(
    office: Office, request: zegel.SignatureRequest, *, signers_keep_access: bool = False
) -> zegel.SignatureRequest:
    return office.sender.signing.cancel_signature_request(
        signature_request_id=request.signature_request_id, signers_keep_access=signers_keep_access
    ).signature_request


def big_image() -> bytes:
    """A PDF whose rendition is as large as it is: it has an image that does not compress."""
    data = Random(7).randbytes(IMAGE_SIDE * IMAGE_SIDE * 3)  # noqa: S311 - repeatable, not secret
    image = b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB /BitsPerComponent 8"
    page = b"/MediaBox [0 0 595 842] /Resources << /XObject << /I 5 0 R >> >>"
    return one_page(b"q 200 0 0 200 20 400 cm /I Do Q", page, b"", stream(data, image % (IMAGE_SIDE, IMAGE_SIDE)))


def test_nothing_of_a_canceled_request_is_shown_to_a_signer(office: Office) -> None:
    request = office.send()
    opened, unopened, by_link = office.signer(request, 0), office.signer(request, 1), link_of(office, request)
    ready(opened, [typed("signature-0", "Sanne")])
    canceled = cancel(office, request)
    shown = request.rendition
    acts: list[Callable[[], object]] = [
        opened.ceremony.get_ceremony,
        opened.ceremony.open_ceremony,
        unopened.ceremony.open_ceremony,
        opened.ceremony.sign_documents,
        lambda: opened.documents.download(shown.document_id, version=shown.version),
        lambda: opened.signing.get_signature_request(signature_request_id=request.signature_request_id),
    ]
    for act in acts:
        with refused("UNAUTHENTICATED", "SESSION_REVOKED"):
            act()
    with refused("UNAUTHENTICATED", "LINK_EXPIRED"):
        office.root.exchange(by_link)
    for index in range(2):
        with refused("FAILED_PRECONDITION", "SIGNATURE_REQUEST_CLOSED", state="CANCELED"):
            office.signer(request, index)
    # The sender sees all of it, and other requests of the same people go on.
    assert office.get(request) == canceled
    assert office.sender.documents.download(shown.document_id, version=shown.version)
    sign(office.signer(office.send(), 0), 0)


def link_of(office: Office, request: zegel.SignatureRequest) -> str:
    return office.sender.signing.create_signer_link(
        signature_request_id=request.signature_request_id, signature_id=request.signatures[0].signature_id
    ).token


def test_signers_keep_their_access_where_the_sender_says_so_and_until_it_says_otherwise(office: Office) -> None:
    request = office.send()
    signer = office.signer(request, 0)
    kept = cancel(office, request, signers_keep_access=True)
    for each in (signer, office.signer(request, 1)):
        assert each.ceremony.open_ceremony().ceremony.state == kept.state
        assert each.documents.download(request.rendition.document_id, version=request.rendition.version)
        with refused("FAILED_PRECONDITION", "SIGNATURE_REQUEST_CLOSED", state="CANCELED"):
            each.ceremony.accept_disclosure()
    viewed = office.get(request)
    assert cancel(office, request, signers_keep_access=True) == viewed
    hidden = cancel(office, request)
    assert (hidden.state, hidden.etag != viewed.etag) == (kept.state, True)
    with refused("UNAUTHENTICATED", "SESSION_REVOKED"):
        signer.ceremony.get_ceremony()
    # What was hidden is not shown again.
    assert cancel(office, request, signers_keep_access=True) == hidden
    with refused("FAILED_PRECONDITION", "SIGNATURE_REQUEST_CLOSED", state="CANCELED"):
        office.signer(request, 0)

    def told() -> list[bool] | None:
        events = office.owner.audit.get_transaction(audit_id=request.audit_id).events
        canceled = [each for each in events if each.type == zegel.EventType.SIGNATURE_REQUEST_CANCELED]
        said = [json.loads(each.leaf)["signers_keep_access"] for each in canceled if each.leaf]
        return said if len(said) == 2 else None

    assert until(told, "both events") == [True, False]


def test_a_running_download_of_a_signer_ends_with_the_request(office: Office) -> None:
    request = office.send(office.upload(big_image()))
    signer = office.signer(request, 0)
    shown = request.rendition
    assert shown.size > IMAGE_SIDE * IMAGE_SIDE * 3
    wanted = zegel.DownloadDocumentRequest(document_id=shown.document_id, version=shown.version)
    with grpc.secure_channel(office.server.listen, grpc.ssl_channel_credentials(office.server.authority)) as channel:
        stub = document_service_pb2_grpc.DocumentServiceStub(channel)
        running: Any = stub.DownloadDocument(wanted, metadata=(("authorization", f"Bearer {signer._call.token}"),))
        next(running)
        cancel(office, request)
        assert ending_of(running).reason == "SESSION_REVOKED"


def ending_of(running: Iterable[object]) -> ZegelError:
    """How a stream ends badly for a slow reader, who holds the server back."""
    try:
        for _ in running:
            time.sleep(0.3)
    except grpc.RpcError as error:
        return from_call(error)
    raise AssertionError("it ended well")


def test_of_a_session_and_a_cancel_at_the_same_time_no_session_remains(office: Office) -> None:
    for _ in range(6):
        request, start = office.send(), threading.Barrier(2)

        def open_session(request: zegel.SignatureRequest = request, start: threading.Barrier = start) -> str:
            start.wait()
            try:
                signer = office.signer(request, 0)
            except ZegelError as error:
                return error.reason
            until(lambda: office.get(request).state != AWAITING or None, "the cancel")
            with pytest.raises(ZegelError) as caught:
                signer.ceremony.open_ceremony()
            return caught.value.reason

        with ThreadPoolExecutor(2) as threads:
            opening = threads.submit(open_session)
            start.wait()
            cancel(office, request)
            assert opening.result() in {"SESSION_REVOKED", "SIGNATURE_REQUEST_CLOSED"}
