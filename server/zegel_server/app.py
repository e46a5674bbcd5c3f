"""The composition root: the one place where collaborators are built and handed to one another.

The order of a start: the sandbox of the PDF workers first, since nothing may be forked once gRPC has begun; then rows,
keys and blobs; then the domains; the port last, once everything behind it answers. A stop goes the other way.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import structlog
from prometheus_client import CollectorRegistry

from zegel.audit.v1 import audit_service_pb2
from zegel.document.v1 import document_service_pb2
from zegel.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from zegel.permission.v1 import permission_service_pb2, permission_service_pb2_grpc
from zegel.signing.v1 import (
    ceremony_service_pb2,
    signing_service_pb2,
)
from zegel_server.audit.recorder import Recorder
from zegel_server.config import Settings
from zegel_server.crypto import RootKeys, open_root_keys
from zegel_server.db import Database, open_database
from zegel_server.db.migrate import current_revision, newest_revision, upgrade
from zegel_server.identity.operator import ensure_operator, write_secret
from zegel_server.identity.service import Identity
from zegel_server.identity.servicer import IdentityServicer
from zegel_server.identity.sessions import Sessions
from zegel_server.keys.service import Keys
from zegel_server.permissions.policies import Policies
from zegel_server.permissions.service import Permissions
from zegel_server.permissions.servicer import PermissionServicer
from zegel_server.rpc.methods import read_contracts
from zegel_server.rpc.pipeline import Pipeline
from zegel_server.rpc.server import OPEN_PATHS, Server
from zegel_server.rpc.telemetry import Telemetry

SERVICES: Final = (
    identity_service_pb2.DESCRIPTOR.services_by_name["IdentityService"],
    document_service_pb2.DESCRIPTOR.services_by_name["DocumentService"],
    signing_service_pb2.DESCRIPTOR.services_by_name["SigningService"],
    ceremony_service_pb2.DESCRIPTOR.services_by_name["CeremonyService"],
    audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"],
    permission_service_pb2.DESCRIPTOR.services_by_name["PermissionService"],
)
"""Every service of the contracts."""

log = structlog.get_logger("zegel.app")


class NotReady(Exception):  # noqa: N818 - it says what is missing, and is told as it is
    """The installation lacks something that a start needs; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a running server is reached.

    Attributes:
        target: ``host:port``.
        authority: The authority that signed its certificate, where it is the development one.
        operator_key: File with the operator's API key, where development made one.
    """

    target: str
    authority: Path | None
    operator_key: Path | None


class Core:
    """What every command of ``zegel-server`` stands on: rows, keys, identity and permissions, without a port.

    Args:
        settings: The installation's settings.
        database: Open and migrated.
        root_keys: The key provider.
    """

    def __init__(self, settings: Settings, database: Database, root_keys: RootKeys) -> None:
        self.settings = settings
        self.database = database
        self.root_keys = root_keys
        self.methods = read_contracts(SERVICES)
        self.keys = Keys(database, root_keys)
        self.recorder = Recorder(self.keys)
        self.policies = Policies(database)
        known = {method.permission for method in self.methods.values()}
        self.permissions = Permissions(database, self.policies, self.recorder, known)
        self.sessions = Sessions(database, self.policies, self.permissions, self.recorder)
        self.identity = Identity(database, self.keys, self.permissions, self.recorder)

    @classmethod
    async def open(cls, settings: Settings, stack: AsyncExitStack) -> Self:
        """Opens rows and keys.

        Args:
            settings: The installation's settings.
            stack: Closes them again.

        Raises:
            NotReady: The database is not at the schema that this server needs.
            Unavailable: The database does not answer.
        """
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        (settings.data_dir / "keys").mkdir(exist_ok=True, mode=0o700)
        url = settings.resolved_database_url
        if settings.development:
            await upgrade(url)
        found, needed = await current_revision(url), newest_revision()
        if found != needed:
            message = f"the database is at schema {found or 'none'}, not {needed}: run zegel-server migrate"
            raise NotReady(message)
        root_keys = open_root_keys(settings.resolved_root_keys_url)
        stack.push_async_callback(root_keys.close)
        database = await open_database(url, pool_size=settings.database_pool)
        stack.push_async_callback(database.close)
        core = cls(settings, database, root_keys)
        stack.push_async_callback(core.sessions.settle)
        return core


class App:
    """A running server.

    Args:
        settings: The installation's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registry = CollectorRegistry()
        self._stack = AsyncExitStack()
        self._server: Server | None = None

    async def start(self, *, reuse_port: bool = False) -> Address:
        """Starts everything, the port last.

        Args:
            reuse_port: Whether several workers listen on the same port.

        Returns:
            Where it is reached.

        Raises:
            NotReady: The installation lacks something.
            OSError: The address cannot be listened on.
            Unavailable: A part that is needed does not answer.
        """
        try:
            return await self._start(reuse_port=reuse_port)
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self, *, reuse_port: bool) -> Address:
        settings = self.settings
        core = self.core = await Core.open(settings, self._stack)
        pipeline = Pipeline(
            core.methods, core.sessions.authenticate, Telemetry(self.registry), self._refused, OPEN_PATHS
        )
        server = self._server = Server(pipeline, None, reuse_port=reuse_port)
        identity = IdentityServicer(core.identity, core.sessions, core.database)
        permission = PermissionServicer(core.permissions, core.database)
        server.add(
            SERVICES[0].full_name,
            lambda grpc: identity_service_pb2_grpc.add_IdentityServiceServicer_to_server(identity, grpc),
        )
        server.add(
            SERVICES[5].full_name,
            lambda grpc: permission_service_pb2_grpc.add_PermissionServiceServicer_to_server(permission, grpc),
        )
        if settings.serves_reflection:
            server.reflect()
        operator_key = await self._operator_key() if settings.development else None
        port = await server.start(settings.listen)
        self._stack.push_async_callback(server.stop)
        host = settings.listen.rpartition(":")[0]
        return Address(f"{host}:{port}", None, operator_key)

    async def _refused(self, caller, method, error) -> None:
        draft = await self.core.recorder.draft(caller, 11, resource_id=method.path, refused=True)
        async with self.core.database.transaction() as transaction:
            await self.core.recorder.record(transaction, draft)

    async def _operator_key(self) -> Path:
        path = self.settings.data_dir / "operator.key"
        token = await ensure_operator(self.core.identity)
        if token is not None:
            write_secret(path, token)
        return path

    async def stop(self) -> None:
        await self._stack.aclose()
