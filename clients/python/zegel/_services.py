"""Every service of the contracts, with its generated classes. Generated from `protos`."""

from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import ServiceDescriptor

from zegel.audit.v1 import audit_service_pb2, audit_service_pb2_grpc
from zegel.document.v1 import document_service_pb2, document_service_pb2_grpc
from zegel.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from zegel.permission.v1 import permission_service_pb2, permission_service_pb2_grpc
from zegel.signing.v1 import ceremony_service_pb2, ceremony_service_pb2_grpc
from zegel.signing.v1 import signing_service_pb2, signing_service_pb2_grpc


class Service(NamedTuple):
    """A service.

    Attributes:
        descriptor: Its descriptor.
        stub: The class that calls it over a channel.
        servicer: The class that what serves it derives from.
        add_to_server: Adds what serves it to a gRPC server.
    """

    descriptor: ServiceDescriptor
    stub: Any
    servicer: Any
    add_to_server: Any


SERVICES: Final = (
    Service(
        audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"],
        audit_service_pb2_grpc.AuditServiceStub,
        audit_service_pb2_grpc.AuditServiceServicer,
        audit_service_pb2_grpc.add_AuditServiceServicer_to_server,
    ),
    Service(
        document_service_pb2.DESCRIPTOR.services_by_name["DocumentService"],
        document_service_pb2_grpc.DocumentServiceStub,
        document_service_pb2_grpc.DocumentServiceServicer,
        document_service_pb2_grpc.add_DocumentServiceServicer_to_server,
    ),
    Service(
        identity_service_pb2.DESCRIPTOR.services_by_name["IdentityService"],
        identity_service_pb2_grpc.IdentityServiceStub,
        identity_service_pb2_grpc.IdentityServiceServicer,
        identity_service_pb2_grpc.add_IdentityServiceServicer_to_server,
    ),
    Service(
        permission_service_pb2.DESCRIPTOR.services_by_name["PermissionService"],
        permission_service_pb2_grpc.PermissionServiceStub,
        permission_service_pb2_grpc.PermissionServiceServicer,
        permission_service_pb2_grpc.add_PermissionServiceServicer_to_server,
    ),
    Service(
        ceremony_service_pb2.DESCRIPTOR.services_by_name["CeremonyService"],
        ceremony_service_pb2_grpc.CeremonyServiceStub,
        ceremony_service_pb2_grpc.CeremonyServiceServicer,
        ceremony_service_pb2_grpc.add_CeremonyServiceServicer_to_server,
    ),
    Service(
        signing_service_pb2.DESCRIPTOR.services_by_name["SigningService"],
        signing_service_pb2_grpc.SigningServiceStub,
        signing_service_pb2_grpc.SigningServiceServicer,
        signing_service_pb2_grpc.add_SigningServiceServicer_to_server,
    ),
)
"""Every service, in the order of the contracts' files."""
