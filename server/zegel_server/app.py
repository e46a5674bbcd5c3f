"""The composition root: the one place where collaborators are built and handed to one another.

The order of a start: first the sandbox of the PDF workers, since nothing may be forked once gRPC has started; then
database, keys and blobs; then the domains; last the port, once everything behind it works. A stop goes the other way.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from zegel_server.audit.cosignatures import Cosignatures
from zegel_server.audit.log import Log
from zegel_server.audit.log_key import LogKey
from zegel_server.audit.publisher import Publisher
from zegel_server.audit.sequencer import Publishing, Sequencer
from zegel_server.audit.service import AuditTrail
from zegel_server.audit.servicer import AuditServicer
from zegel_server.audit.witness_feeder import WitnessFeeder
from zegel_server.audit.witnesses import parse_witnesses
from zegel_server.config import Settings
from zegel_server.core import SERVICES, Core
from zegel_server.credentials.loading import Credentials, open_credentials
from zegel_server.documents.downloads import Downloads
from zegel_server.documents.encrypted_store import EncryptedStore
from zegel_server.documents.removal import removal_kind
from zegel_server.documents.renditions import Renditions
from zegel_server.documents.scrub import Scrub
from zegel_server.documents.service import Documents
from zegel_server.documents.servicer import CODECS as DOCUMENT_CODECS
from zegel_server.documents.servicer import DocumentServicer
from zegel_server.documents.signing_documents import SigningDocuments
from zegel_server.documents.upload_progress import ProgressStore
from zegel_server.documents.uploads import Uploads
from zegel_server.edge.endpoints import Served, endpoints_by_service
from zegel_server.edge.grpc_adapter.server import Server
from zegel_server.edge.idempotency import Answers
from zegel_server.edge.limits import Budget, Limits
from zegel_server.edge.pipeline import Pipeline
from zegel_server.edge.proxies import Proxies
from zegel_server.edge.telemetry import Telemetry
from zegel_server.edge.wrong_tokens import WrongTokens
from zegel_server.identity.exchange import Exchange
from zegel_server.identity.handed_out import HandedOut
from zegel_server.identity.operator import ensure_operator, write_secret
from zegel_server.identity.servicer import IdentityServicer
from zegel_server.janitor import Chore, Janitor
from zegel_server.jobs.kinds import demand_all_run
from zegel_server.jobs.metrics import JobMetrics
from zegel_server.jobs.service import Jobs
from zegel_server.jobs.worker import Worker
from zegel_server.neighbours.calls import NeighbourMetrics
from zegel_server.pdf.limits import WorkerLimits
from zegel_server.pdf.sandbox.client import Sandbox
from zegel_server.pdf.sandbox.metrics import SandboxMetrics
from zegel_server.permissions.servicer import PermissionServicer
from zegel_server.signing.ceremony import Ceremony
from zegel_server.signing.expiry import Expiry
from zegel_server.signing.links import PendingSignatureCheck, SignerLinks
from zegel_server.signing.openings import TrailOpenings
from zegel_server.signing.renditions import RequestRenditions
from zegel_server.signing.sealing import EVIDENCE_WAIT_S, Sealer
from zegel_server.signing.sealing_job import sealing_kind
from zegel_server.signing.sealing_queue import SealingQueue
from zegel_server.signing.service import Signing
from zegel_server.signing.servicer import CeremonyServicer, SigningServicer
from zegel_server.storage import BlobStore, open_blob_store


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a running server.

    Attributes:
        target: ``host:port``.
        authority: File with the authority that signed its certificate, if it is the development authority.
        operator_key: File with the operator's API key, if development mode made one.
        metrics: Address of the metrics, or empty.
    """

    target: str
    authority: Path | None
    operator_key: Path | None
    metrics: str


class Domains:
    """The domains behind the services, and the background work.

    Args:
        core: Database, keys, identity and permissions.
        sandbox: The sandbox for work on PDFs.
        blobs: Where ciphertext is stored.
        credentials: The credentials for sealing.
        log_key: The audit log's key.
        registry: The registry that the metrics belong to.
    """

    def __init__(
        self,
        core: Core,
        sandbox: Sandbox,
        blobs: BlobStore,
        credentials: Credentials,
        log_key: LogKey,
        *,
        registry: CollectorRegistry,
    ) -> None:
        database, keys, recorder, settings = core.database, core.keys, core.recorder, core.settings
        self.core = core
        self.audit_log = Log(database, log_key)
        witnesses = parse_witnesses(settings.witnesses, [log_key.verifier])
        cosignatures = Cosignatures(database, self.audit_log, witnesses, settings.witnesses_needed)
        outlet: Publishing | None = None
        if settings.publish_log:
            outlet = Publisher(self.audit_log, database, settings.data_dir / "log", cosignatures.newest)
        if witnesses:
            outlet = WitnessFeeder(self.audit_log, cosignatures, witnesses, registry, outlet, metrics=core.neighbours)
        self.sequencer = Sequencer(database, self.audit_log, outlet)
        recorder.recorded = self.sequencer.nudge
        self.audit = AuditTrail(
            database, keys, self.audit_log, self.sequencer, cosignatures, openings=TrailOpenings(database, keys)
        )

        self.encrypted_store = EncryptedStore(blobs, keys)
        renditions = Renditions(sandbox, self.encrypted_store)
        trials = renditions.trials
        progress_store = ProgressStore(database, keys, recorder)
        self.documents = Documents(database, keys, progress_store, recorder, core.permissions.owners, trials=trials)
        self.uploads = Uploads(self.encrypted_store, progress_store, renditions)
        self.downloads = Downloads(database, self.encrypted_store, recorder)
        self.scrub = Scrub(database, self.encrypted_store)
        signing_documents = SigningDocuments(database, self.encrypted_store, keys, renditions)

        sealer = Sealer(
            database,
            keys,
            recorder,
            documents=signing_documents,
            trails=self.audit,
            sandbox=sandbox,
            credentials=credentials.sealing,
            evidence_wait_s=max(EVIDENCE_WAIT_S, settings.witness_wait) if settings.witnesses_needed else None,
        )
        kinds = [sealing_kind(database, sealer, recorder), removal_kind(self.encrypted_store)]
        demand_all_run(kinds)
        metrics = JobMetrics(registry)
        self.worker = Worker(database, kinds, metrics)
        jobs = Jobs(database, metrics, [kind.name for kind in kinds])
        sealing_queue = SealingQueue(
            database, Gauge("zegel_sealing_blocked", "Requests that cannot be sealed as they are.", registry=registry)
        )
        self.signing = Signing(
            database,
            keys,
            recorder,
            signing_documents,
            core.sessions,
            handed_out=HandedOut(database, core.policies),
            owners=core.permissions.owners,
            renditions=RequestRenditions(signing_documents, sandbox),
            trials=trials,
        )
        self.signer_links = SignerLinks(database, keys, recorder, core.links, self.signing)
        self.exchange = Exchange(
            database,
            links=core.links,
            sessions=core.sessions,
            signable=PendingSignatureCheck(),
            recorder=recorder,
            providers=core.providers,
        )
        self.ceremony = Ceremony(
            database,
            keys,
            recorder,
            trials,
            seal_certificate=lambda: credentials.sealing.certificate_sha256,
        )
        self.expiry = Expiry(database, keys, recorder)
        self.janitor = Janitor(
            [
                Chore("uploads that expired", 60, self.uploads.sweep),
                Chore("requests that expired", 5, self.expiry.sweep_expired),
                Chore("requests that cannot be sealed", 15, sealing_queue.count),
                Chore("jobs by kind", 15, jobs.measure),
                Chore("what the organisation seals with", 60, credentials.sealing.keep_up),
                Chore("answers kept for long enough", 3600, core.forget_answers),
                Chore("sessions that ended", 3600, core.sessions.forget_ended),
                Chore("objects that no row names", 6 * 3600, self.scrub.remove_orphans),
            ]
        )

    @classmethod
    async def open(
        cls,
        core: Core,
        sandbox: Sandbox,
        credentials: Credentials,
        registry: CollectorRegistry,
        stack: AsyncExitStack,
    ) -> Self:
        """Opens blobs and the log, and starts the background work.

        Args:
            core: Database, keys, identity and permissions.
            sandbox: The sandbox for work on PDFs.
            credentials: The credentials for sealing.
            registry: The registry that the metrics belong to.
            stack: Closes everything again.

        Raises:
            DataLoss: The log is not the one that was published before (``LOG_DAMAGED``).
            Unavailable: A dependency does not answer.
        """
        settings = core.settings
        blobs = open_blob_store(settings.resolved_blobs_url, core.neighbours)
        stack.push_async_callback(blobs.close)
        log_key = LogKey.open(settings.data_dir / "keys", settings.log_origin)
        domains = cls(core, sandbox, blobs, credentials, log_key, registry=registry)
        stack.push_async_callback(domains.encrypted_store.close)
        stack.push_async_callback(domains.sequencer.close)
        await domains.sequencer.start()
        working = asyncio.create_task(domains.worker.run(), name="jobs")
        stack.push_async_callback(_ended, working)
        domains.janitor.start()
        stack.push_async_callback(domains.janitor.close)
        return domains

    def servicers(self) -> list[Served]:
        """The servicer of each service; the server starts only if none is missing."""
        core = self.core
        answers = Answers(core.database, core.keys)
        return [
            Served(IdentityServicer(core.identity, core.sessions, self.exchange, answers)),
            Served(DocumentServicer(answers, self.documents, self.uploads, self.downloads), DOCUMENT_CODECS),
            Served(SigningServicer(self.signing, self.signer_links, answers)),
            Served(CeremonyServicer(self.ceremony, answers)),
            Served(AuditServicer(self.audit)),
            Served(PermissionServicer(core.permissions, answers)),
        ]


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _limits(settings: Settings) -> Limits:
    if not settings.limits:
        return Limits()
    return Limits(
        session=Budget(settings.session_calls, settings.session_calls_at_a_time, settings.session_bytes),
        tenant=Budget(settings.tenant_calls, settings.tenant_calls_at_a_time, settings.tenant_bytes),
    )


class App:
    """A running server.

    Args:
        settings: The installation's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registry = CollectorRegistry()
        self._stack = AsyncExitStack()

    async def start(self, *, reuse_port: bool = False) -> Address:
        """Starts everything, the port last.

        Args:
            reuse_port: Whether several workers listen on the same port.

        Returns:
            Its address.

        Raises:
            NotReady: The installation lacks something.
            OSError: It cannot listen on the address.
            Unavailable: A dependency does not answer.
            ValueError: A file that the settings name does not hold what it should.
        """
        try:
            return await self._start(reuse_port=reuse_port)
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self, *, reuse_port: bool) -> Address:
        settings, stack = self.settings, self._stack
        # First, before gRPC starts any threads: from then on only the zygote forks.
        sandbox = await stack.enter_async_context(
            Sandbox(
                WorkerLimits(concurrency=settings.pdf_workers), settings.fonts_folder, SandboxMetrics(self.registry)
            )
        )
        neighbours = NeighbourMetrics(self.registry)
        credentials = open_credentials(settings, self.registry, neighbours)
        core = self.core = await Core.open(settings, stack, neighbours)
        await core.policies.warm()
        domains = self.domains = await Domains.open(core, sandbox, credentials, self.registry, stack)
        proxies = Proxies(settings.trusted_proxies, settings.proxy_header)
        pipeline = Pipeline(
            core.authentication.authenticate,
            Telemetry(self.registry),
            core.refusals.record,
            limits=_limits(settings),
            wrong_tokens=WrongTokens(settings.wrong_tokens if settings.limits else 0),
            proxies=proxies,
            exchange=domains.exchange.present,
        )
        certificates = settings.tls_client_authority is not None
        server = Server(
            pipeline, credentials.tls, certificates=certificates, reuse_port=reuse_port, spares=proxies.believes
        )
        for name, endpoints in endpoints_by_service(SERVICES, domains.servicers(), core.methods).items():
            server.add(name, endpoints)
        if settings.serves_reflection:
            server.reflect()
        operator_key = await self._operator_key() if settings.development else None
        metrics = self._serve_metrics()
        port = await server.start(settings.listen)
        stack.push_async_callback(server.stop)
        host = settings.listen.rpartition(":")[0]
        return Address(f"{host}:{port}", credentials.authority, operator_key, metrics)

    async def _operator_key(self) -> Path:
        path = self.settings.data_dir / "operator.key"
        if (token := await ensure_operator(self.core.identity)) is not None:
            write_secret(path, token)
        elif not path.exists():
            # If the server was killed between the two, nobody knows the key that was made.
            write_secret(path, await self.core.renew_operator())
        return path

    def _serve_metrics(self) -> str:
        if not self.settings.metrics_listen:
            return ""
        host, _, port = self.settings.metrics_listen.rpartition(":")
        served, thread = start_http_server(int(port), host, self.registry)

        def stop() -> None:
            served.shutdown()
            served.server_close()
            thread.join()

        self._stack.callback(stop)
        return f"{host}:{served.server_port}"

    async def stop(self) -> None:
        """Stops gracefully: the port first, then everything behind it."""
        await self._stack.aclose()
