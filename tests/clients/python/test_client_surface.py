"""The clients offer the contracts: every method, under its name, retried as it allows."""

import asyncio
import inspect
import json
import pydoc
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.field_mask_pb2 import FieldMask

import zegel
import zegel.aio
import zegel.client
from zegel._internal import aio_methods, contract, methods
from zegel._internal.surface import AioService, SyncService, request_of
from zegel._services import SERVICES
from zegel.identity.v1.identity_service_pb2 import UpdateTenantRequest
from zegel.signing.v1.signing_service_pb2 import ListSignatureRequestsRequest

BY_HAND = {"wait_until_sealed", "wait_until_ended", "wait_until_proven"}
"""What the services have besides: flows over the contract's methods."""


def contract_methods() -> dict[str, set[str]]:
    """The methods of each service, in snake_case, by the class that a client's inherits them from."""
    found: dict[str, set[str]] = {}
    for rpc in contract.RPCS.values():
        service = rpc.service.rsplit(".", 1)[1].removesuffix("Service") + "Methods"
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", rpc.name).lower()
        found.setdefault(service, set()).add(
            {"upload_document": "upload", "download_document": "download"}.get(name, name)
        )
    return found


def offered(client: Any) -> dict[str, set[str]]:
    """The same as a client has them."""
    services = [each for each in vars(client).values() if isinstance(each, SyncService | AioService)]
    return {
        base.__name__: {name for name in dir(service) if not name.startswith("_")} - BY_HAND
        for service in services
        for base in type(service).__mro__
        if base.__module__ in {methods.__name__, aio_methods.__name__}
    }


@pytest.mark.parametrize("kind", [zegel.client.Client, zegel.aio.Client])
def test_every_method_of_the_contracts_is_there_and_nothing_else(kind: Any) -> None:
    client = kind("localhost:1", insecure=True)
    assert offered(client) == contract_methods()


SERVICE_CLASSES = [
    (kind, service)
    for kind in (zegel.client, zegel.aio)
    for service in ("Identity", "Documents", "Signing", "Ceremony", "Audit", "Permissions")
]


@pytest.mark.parametrize(("module", "service"), SERVICE_CLASSES)
def test_a_method_explains_itself_on_the_class_and_on_the_instance(module: Any, service: str) -> None:
    kind, instance = getattr(module, service), None
    for value in vars(module.Client("localhost:1", insecure=True)).values():
        instance = value if isinstance(value, kind) else instance
    for rpc, request, name in of_service(kind):
        for method in (getattr(kind, name), getattr(instance, name)):
            assert method.__qualname__.endswith(f"Methods.{name}")
            told = " ".join((inspect.getdoc(method) or "").split())
            assert told.startswith(" ".join(inspect.cleandoc(rpc.doc).split()))
            parameters = [each for each in inspect.signature(method).parameters.values() if each.name != "self"]
            assert [each.name for each in parameters] == [field.name for field in request.fields]
            assert {each.kind for each in parameters} <= {inspect.Parameter.KEYWORD_ONLY}
            assert all(each.annotation is not inspect.Parameter.empty for each in parameters)
            assert all(f"{field.name}: " in told for field in request.fields)
            assert f"{name}(" in pydoc.plain(pydoc.render_doc(method))


def of_service(kind: type) -> Iterator[tuple[contract.Rpc, Descriptor, str]]:
    """The contract's method, its request and its name, of every generated method of a service's class."""
    [base] = [each for each in kind.__mro__ if each.__name__.endswith("Methods")]
    service = base.__name__.removesuffix("Methods") + "Service"
    for each in SERVICES:
        if each.descriptor.name == service:
            for method in each.descriptor.methods:
                name = re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()
                if name in vars(base):
                    yield contract.RPCS[method.input_type.full_name], method.input_type, name


def test_an_argument_s_type_is_one_that_a_program_writes() -> None:
    parameters = inspect.signature(zegel.client.Signing.create_signature_request).parameters
    assert parameters["title"].annotation is str
    assert parameters["signers"].annotation == Iterable[zegel.Signer]
    assert parameters["expire_time"].annotation == datetime | zegel.Timestamp | None
    rotated = inspect.signature(zegel.aio.Identity.rotate_api_key).parameters
    assert rotated["overlap"].annotation == timedelta | zegel.Duration | None
    assert inspect.iscoroutinefunction(zegel.aio.Identity.rotate_api_key)
    assert not inspect.iscoroutinefunction(zegel.client.Identity.rotate_api_key)


def test_gRPC_repeats_only_what_the_contracts_allow() -> None:  # noqa: N802
    [config] = json.loads(contract.service_config())["methodConfig"]
    told = {(each["service"], each["method"]) for each in config["name"]}
    for service in SERVICES:
        for method in service.descriptor.methods:
            allowed = method.GetOptions().idempotency_level != 0
            assert ((service.descriptor.full_name, method.name) in told) == allowed
    assert ("zegel.document.v1.DocumentService", "UploadDocument") not in told


CREATE = {"title": "Lease", "documents": [], "signers": [], "fields": []}
NAIVE = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - what is refused


def run(method: Any, *arguments: Any, **fields: Any) -> None:
    """Calls a method of either client."""
    answer = method(*arguments, **fields)
    if inspect.iscoroutine(answer):
        asyncio.run(answer)


def refused(service: str, method: str, kind: type[Exception], **fields: Any) -> str:
    """What both clients say to these arguments, before anything is sent."""
    said = set()
    for client in (zegel.Client("localhost:1", insecure=True), zegel.aio.Client("localhost:1", insecure=True)):
        with pytest.raises(kind) as caught:
            run(getattr(getattr(client, service), method), **fields)
        said.add(str(caught.value))
    [only] = said
    return only


def test_a_mask_may_be_a_list_of_names() -> None:
    wanted = FieldMask(paths=["title", "state"])
    for names in (["title", "state"], ("title", "state"), wanted, {"paths": ["title", "state"]}):
        assert request_of(ListSignatureRequestsRequest, {"read_mask": names, "page_size": 2}) == (
            ListSignatureRequestsRequest(read_mask=wanted, page_size=2)
        )
    updated = request_of(UpdateTenantRequest, {"update_mask": ["name"]})
    assert list(updated.update_mask.paths) == ["name"]


@pytest.mark.parametrize("wrong", ["title", 1, [1], ["title", None], {"title"}])
def test_a_mask_of_anything_else_is_refused_by_name(wrong: object) -> None:
    said = refused("signing", "list_signature_requests", TypeError, read_mask=wrong)
    assert said.startswith("read_mask: takes list of names or FieldMask, not ")


def test_an_argument_that_is_not_there_is_named() -> None:
    assert "'nonsense'" in refused("identity", "create_tenant", TypeError, nonsense=1)


@pytest.mark.parametrize(
    ("fields", "kind", "said"),
    [
        ({"title": 5}, TypeError, "title: takes str, not int"),
        ({"documents": 5}, TypeError, "documents: takes an iterable of RequestedDocument, not int"),
        ({"signers": ["Robin", 3]}, TypeError, "signers: takes an iterable of Signer, not list of int, str"),
        ({"expire_time": "2026-03-01"}, TypeError, "expire_time: takes datetime or Timestamp, not str"),
        ({"expire_time": NAIVE.date()}, TypeError, "expire_time: takes datetime or Timestamp, not date"),
        ({"title": "\ud800"}, ValueError, "title: not valid Unicode"),
    ],
)
def test_an_argument_of_another_type_is_named_and_its_value_is_not(
    fields: dict[str, Any], kind: type[Exception], said: str
) -> None:
    assert refused("signing", "create_signature_request", kind, **{**CREATE, **fields}) == said


def test_a_number_that_is_out_of_range_is_named() -> None:
    assert refused("audit", "list_events", ValueError, page_size=2**40).startswith("page_size: ")


def test_a_datetime_without_a_time_zone_is_refused_by_name() -> None:
    told = "a datetime without a time zone; give it one, as in datetime.now(UTC)"
    said = refused("signing", "create_signature_request", ValueError, **{**CREATE, "expire_time": NAIVE})
    assert said == f"expire_time: {told}"
    nested = {"signature_request": {"expire_time": NAIVE}}
    said = refused("signing", "update_signature_request", ValueError, **nested)
    assert said == f"signature_request.expire_time: {told}"
    for client in (zegel.Client("localhost:1", insecure=True), zegel.aio.Client("localhost:1", insecure=True)):
        with pytest.raises(ValueError, match="expire_time: a datetime without"):
            run(client.exchange, "zl_x", expire_time=NAIVE)


def test_a_datetime_is_a_time_and_a_timedelta_a_duration() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=13)))
    made = request_of(zegel.CreateSignatureRequestRequest, {"expire_time": at})
    assert made.expire_time.ToDatetime(UTC) == at
    rotated = request_of(zegel.RotateApiKeyRequest, {"overlap": timedelta(minutes=5)})
    assert rotated.overlap.ToTimedelta() == timedelta(minutes=5)
    assert zegel.RotateApiKeyRequest(overlap=timedelta(minutes=5)) == rotated


def test_what_is_left_out_is_not_set() -> None:
    """The defaults of every method's arguments make an empty request."""
    for module, service in SERVICE_CLASSES:
        for _, request, name in of_service(getattr(module, service)):
            parameters = inspect.signature(getattr(getattr(module, service), name)).parameters.values()
            given = {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}
            assert request_of(getattr(zegel, request.name), given).SerializeToString() == b""
