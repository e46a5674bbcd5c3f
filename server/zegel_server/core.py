"""What every command needs: database, keys, identity and permissions, but no port.

Together with ``app`` this is the composition root: no other module constructs services.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, Self

from google.protobuf.descriptor import ServiceDescriptor

from zegel import _services
from zegel_server import clock
from zegel_server.audit.check import AuditCheck
from zegel_server.audit.log import Log
from zegel_server.audit.log_key import LogKey
from zegel_server.audit.publisher import Publisher
from zegel_server.audit.recorder import Recorder
from zegel_server.audit.refusals import Refusals
from zegel_server.config import NotReady, Settings
from zegel_server.crypto import RootKeys, open_root_keys
from zegel_server.db import Database, Row, open_database
from zegel_server.db.migrate import OpenKeys, TextKey, current_revision, newest_revision, upgrade
from zegel_server.documents.encrypted_store import EncryptedStore
from zegel_server.documents.scrub import Scrub
from zegel_server.edge import idempotency
from zegel_server.edge.methods import read_contracts
from zegel_server.identity.authentication import Authentication
from zegel_server.identity.discovery import ProviderKeys
from zegel_server.identity.links import Links
from zegel_server.identity.operator import renew_operator
from zegel_server.identity.own_keys import OwnKeys
from zegel_server.identity.providers import Providers
from zegel_server.identity.service import Identity
from zegel_server.identity.sessions import Sessions
from zegel_server.jobs.service import Jobs
from zegel_server.keys.migrating import open_text_keys
from zegel_server.keys.moving import Moving
from zegel_server.keys.providers import KeyProviders
from zegel_server.keys.rotation import Rotation
from zegel_server.keys.service import Keys
from zegel_server.neighbours.calls import NeighbourMetrics
from zegel_server.permissions.policies import Policies
from zegel_server.permissions.service import Permissions
from zegel_server.signing.sealing_queue import SealingQueue
from zegel_server.storage import open_blob_store

SERVICES: Final[Mapping[type, ServiceDescriptor]] = {
    service.servicer: service.descriptor for service in _services.SERVICES
}
"""All services of the contracts, by the generated class that their servicers derive from."""


class Core:
    """What every command of ``zegel-server`` needs: database, keys, identity and permissions, but no port.

    Args:
        settings: The installation's settings.
        database: The database, open and migrated.
        root_keys: The key providers.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        root_keys: KeyProviders,
        metrics: NeighbourMetrics | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.neighbours = metrics
        self.root_keys = root_keys
        self.methods = read_contracts(SERVICES.values())
        self.keys = Keys(database, root_keys, max_age_s=settings.key_max_age_s)
        self.recorder = Recorder(self.keys)
        self.refusals = Refusals(database, self.recorder)
        self.policies = Policies(database)
        known = {method.permission for method in self.methods.values()}
        self.permissions = Permissions(database, self.keys, self.policies, self.recorder, known)
        self.links = Links(database, self.policies)
        self.authentication = Authentication(database, self.policies)
        self.sessions = Sessions(database, self.permissions, self.recorder)
        self.provider_keys = ProviderKeys(settings.identity_provider_origins, metrics)
        self.providers = Providers(
            database,
            keys=self.keys,
            permissions=self.permissions,
            policies=self.policies,
            sessions=self.sessions,
            recorder=self.recorder,
            provider_keys=self.provider_keys,
        )
        self.identity = Identity(database, self.keys, self.permissions, self.recorder)
        self.own_keys = OwnKeys(database, Moving(database, root_keys), self.recorder)

    @classmethod
    async def open(cls, settings: Settings, stack: AsyncExitStack, metrics: NeighbourMetrics | None = None) -> Self:
        """Opens the database and the keys.

        Args:
            settings: The installation's settings.
            stack: Closes them again.
            metrics: Where it is told how the machines do that are asked.

        Raises:
            NotReady: The database does not have the schema that this server needs.
            Unavailable: The database does not answer.
            ValueError: A key provider's URL or name is malformed.
        """
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        (settings.data_dir / "keys").mkdir(exist_ok=True, mode=0o700)
        url = settings.resolved_database_url
        if settings.development:
            await upgrade(url, text_keys_of(settings))
        found, needed = await current_revision(url), newest_revision()
        if found != needed:
            message = f"the database has schema {found or 'none'}, not {needed}: run zegel-server migrate"
            raise NotReady(message)
        database = await open_database(url, pool_size=settings.database_pool, metrics=metrics)
        stack.push_async_callback(database.close)
        root_keys = KeyProviders(
            database, open_root_keys(settings.resolved_root_keys_url), _own_providers(settings), metrics
        )
        stack.push_async_callback(root_keys.close)
        core = cls(settings, database, root_keys, metrics)
        stack.push_async_callback(core.authentication.settle)
        return core

    def open_scrub(self, stack: AsyncExitStack) -> Scrub:
        """Makes the check of stored documents, for a command.

        Args:
            stack: Closes it again.
        """
        blobs = open_blob_store(self.settings.resolved_blobs_url)
        stack.push_async_callback(blobs.close)
        encrypted_store = EncryptedStore(blobs, self.keys)
        stack.push_async_callback(encrypted_store.close)
        return Scrub(self.database, encrypted_store)

    def jobs(self) -> Jobs:
        """What an operator does about jobs."""
        return Jobs(self.database)

    def sealing_queue(self) -> SealingQueue:
        """What an operator does about requests that wait to be sealed."""
        return SealingQueue(self.database)

    def rotation(self) -> Rotation:
        """What wraps keys anew."""
        return Rotation(self.database, self.root_keys)

    async def renew_operator(self) -> str:
        """Gives the operator a new API key and revokes the one before.

        Returns:
            The new one.
        """
        return await renew_operator(self.database, self.keys, self.identity)

    def audit_check(self, progress: Callable[[int], None]) -> AuditCheck:
        """Makes the check of the whole audit log, for a command.

        Args:
            progress: Called with the number of events checked so far.
        """
        log = Log(self.database, LogKey.open(self.settings.data_dir / "keys", self.settings.log_origin))
        publisher = None
        if self.settings.publish_log:
            publisher = Publisher(log, self.database, self.settings.data_dir / "log")
        return AuditCheck(self.database, self.keys, log, publisher, progress)

    async def forget_answers(self) -> int:
        """Deletes answers of idempotent calls that were kept for long enough."""
        async with self.database.transaction() as transaction:
            return await transaction.execute(idempotency.FORGET, before=clock.now() - idempotency.KEPT)


def text_keys_of(settings: Settings) -> OpenKeys:
    """What opens the tenants' keys for a migration that needs them.

    Args:
        settings: The installation's settings.
    """

    async def open_keys(rows: Sequence[Row]) -> Mapping[str, TextKey | None]:
        async with AsyncExitStack() as stack:
            database = await open_database(settings.resolved_database_url, pool_size=1)
            stack.push_async_callback(database.close)
            root_keys = KeyProviders(
                database, open_root_keys(settings.resolved_root_keys_url), _own_providers(settings)
            )
            stack.push_async_callback(root_keys.close)
            return await open_text_keys(root_keys, rows)

    return open_keys


def _own_providers(settings: Settings) -> dict[str, RootKeys]:
    """The tenants' own key providers; opening them does not contact them."""
    opened = {}
    for name, url in settings.key_providers.items():
        try:
            opened[name] = open_root_keys(url.get_secret_value())
        except ValueError as error:
            message = f"key_providers.{name}: {error}"
            raise ValueError(message) from None
    return opened
