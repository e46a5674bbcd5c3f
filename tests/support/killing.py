"""A server that is killed at arbitrary moments and restarted, and a partner that continues where it was.

A plan is made from a seed: before which step of the flow, how much later, and how long into the next start the server
is killed. The clock decides what exactly it was doing then, so a seed repeats the plan, not the instruction.
"""

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Self, TypeVar

import zegel
from support.flow import PEOPLE, typed, usual_fields, usual_signers
from support.server import ServerProcess, members_of_session
from zegel.document.v1.document_service_pb2 import Document
from zegel.evidence.transparency import Checkpoint, VerifierKey, merkle_root, open_checkpoint, verify_consistency
from zegel.identity.v1.identity_service_pb2 import CreateTenantResponse
from zegel.signing.v1.signature_request_pb2 import RequestedDocument, SignatureRequest, SignatureRequestState

PATIENCE_SECONDS = 90.0
"""Seconds for which a partner retries a step, including restarts on a loaded machine and a killed worker's lease."""

GONE_SECONDS = 10.0
"""Seconds in which the children of a killed server must end, on a loaded machine."""

_T = TypeVar("_T")

STEPS = (
    "tenant",
    "member",
    "session",
    "upload",
    "send",
    *(f"{act} {number}" for number in (1, 2) for act in ("open", "accept", "fill", "sign")),
    "seal",
    "fetch",
)
"""The steps of a flow, in order."""

LONGEST = {"upload": 1.0, "seal": 1.5, "sign 2": 1.0, "fetch": 0.5}
"""Seconds after a step's beginning within which a kill is planned, where it is not `USUAL`."""

USUAL = 0.08
"""The same for a step that is one small call."""


@dataclass(frozen=True)
class Kill:
    """One planned kill.

    Attributes:
        step: Before which step the clock starts.
        after: Seconds later.
        starting: Seconds into the start that follows at which that one is killed as well; nothing for not.
    """

    step: str
    after: float
    starting: float | None


def plan(seed: str) -> list[Kill]:
    """One to three kills of one flow."""
    dice = Random(seed)  # noqa: S311 - repeatable, not secret
    kills = []
    for step in dice.sample(STEPS, dice.choice((1, 2, 2, 3))):
        starting = dice.uniform(0.2, 2.5) if dice.random() < 0.25 else None
        kills.append(Kill(step, dice.uniform(0.0, LONGEST.get(step, USUAL)), starting))
    return kills


def insist(call: Callable[[], _T], what: str) -> _T:
    """Repeats a call until the server answers; an error that the server returns is raised."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return call()
        except zegel.ZegelError as error:
            # A connection that broke says nothing of a server of ours: there is no reason in it.
            if (error.reason and not isinstance(error, zegel.Unavailable)) or time.monotonic() > deadline:
                raise AssertionError(f"{what}: {error!r}") from error
            time.sleep(0.1)


@dataclass
class Killer:
    """Kills a server as planned, and starts it again each time.

    Attributes:
        server: The server.
        kills: How often it was killed.
    """

    server: ServerProcess
    kills: int = 0
    problems: list[str] = field(default_factory=list)
    _thread: threading.Thread | None = None

    def arm(self, kill: Kill) -> None:
        """Schedules a kill; the previous one has happened and the server is running again."""
        self.settle()
        self._thread = threading.Thread(target=self._strike, args=(kill,))
        self._thread.start()

    def settle(self) -> None:
        """Waits until the planned kills have happened and the server is running again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        assert not self.problems, self.problems

    def _strike(self, kill: Kill) -> None:
        try:
            time.sleep(kill.after)
            self._kill()
            if kill.starting is not None:
                self.server.spawn()
                time.sleep(kill.starting)
                self._kill()
            self.server.start()
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            self.problems.append(repr(error))

    def _kill(self) -> None:
        session = self.server.kill()
        self.kills += 1
        deadline = time.monotonic() + GONE_SECONDS
        while left := members_of_session(session):
            if time.monotonic() > deadline:
                self.problems.append(f"left behind by a killed server: {left}")
                return
            time.sleep(0.02)


@dataclass
class Partner:
    """A partner application that repeats unanswered calls with the same request identifiers.

    Attributes:
        root: The operator's client, over a connection that outlives the server.
        name: Makes its request identifiers unique.
        document: What is signed.
        killer: Kills the server as planned.
        kills: The plan.
        uploads: How often the document was sent from its beginning.
    """

    root: zegel.Client
    name: str
    document: bytes
    killer: Killer
    kills: Sequence[Kill]

    tenant_id: str = ""
    owner: zegel.Client = field(init=False)
    sender: zegel.Client = field(init=False)
    request: SignatureRequest = field(init=False)
    uploads: int = 0
    tries: int = 0

    def _step(self, step: str, call: Callable[[], _T]) -> _T:
        for kill in self.kills:
            if kill.step == step:
                self.killer.arm(kill)
        return insist(call, f"{self.name}, {step}")

    def run(self) -> None:
        """The whole flow up to the sealed document."""
        created = self._step("tenant", self._create_tenant)
        self.tenant_id = created.tenant.tenant_id
        self.owner = owner = self.root.with_token(created.api_key_token)
        member = self._step(
            "member",
            lambda: owner.identity.create_member(name="Noor", email="noor@example.com", request_id="member").member,
        )
        opened = self._step("session", lambda: owner.identity.create_session(member_id=member.member_id))
        self.sender = sender = self.root.with_token(opened.token)

        def upload() -> Document:
            self.uploads += 1
            return sender.documents.upload(self.document, title="Lease")

        document = self._step("upload", upload)
        self.request = self._step(
            "send",
            lambda: (
                sender.signing.create_signature_request(
                    title="Lease",
                    documents=[RequestedDocument(document_id=document.document_id)],
                    signers=usual_signers(),
                    fields=usual_fields(),
                    request_id="send",
                ).signature_request
            ),
        )
        for number in (1, 2):
            self._sign(number)
        self._step("seal", self._until_sealed)
        self._step("fetch", lambda: sender.documents.download(self.request.sealed_document_id))
        self.killer.settle()

    def _create_tenant(self) -> CreateTenantResponse:
        """Makes a tenant until its key is known: only the first response has the token, and it may have been lost."""
        while True:
            self.tries += 1
            request_id = f"{self.name} {self.tries}"  # the same for as long as nothing answers
            call = partial(self.root.identity.create_tenant, name=self.name, request_id=request_id)
            created = insist(call, request_id)
            if created.api_key_token:
                return created

    def _sign(self, number: int) -> None:
        signature = self.request.signatures[number - 1]

        def open_it() -> zegel.Client:
            opened = self.sender.signing.create_signer_session(
                signature_request_id=self.request.signature_request_id, signature_id=signature.signature_id
            )
            signer = self.root.with_token(opened.token)
            shown = signer.ceremony.open_ceremony().ceremony.rendition
            data = signer.documents.download(shown.document_id, version=shown.version)
            assert hashlib.sha256(data).digest() == shown.sha256 == self.request.rendition.sha256
            return signer

        signer = self._step(f"open {number}", open_it)
        self._step(f"accept {number}", signer.ceremony.accept_disclosure)
        value = typed(f"signature-{number - 1}", PEOPLE[number - 1][0])
        self._step(f"fill {number}", lambda: signer.ceremony.fill_fields(values=[value]))
        # Signed once, however often it is requested: a second response that says otherwise is an error here.
        self._step(f"sign {number}", lambda: signer.ceremony.sign_documents(request_id=f"sign-{number}"))

    def _until_sealed(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            asked = self.sender.signing.get_signature_request(
                signature_request_id=self.request.signature_request_id
            ).signature_request
            state = SignatureRequestState.Name(asked.state).removeprefix("SIGNATURE_REQUEST_STATE_")
            assert state in {"ALL_SIGNED", "DOWNLOADABLE"}, state
            if state == "DOWNLOADABLE":
                self.request = asked
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.name}: not sealed within {PATIENCE_SECONDS:.0f} s")


class Witness:
    """Polls the log continuously, as a monitor does, and keeps every checkpoint that it saw.

    Args:
        client: Its own client.
    """

    def __init__(self, client: zegel.Client) -> None:
        self._client = client
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.seen: dict[bytes, str] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.015):
            with contextlib.suppress(zegel.Unavailable, zegel.Cancelled):
                found = self._client.audit.get_checkpoint()
                self.seen[found.checkpoint] = found.verifier_key

    def check(self) -> int:
        """Checks that all checkpoints are of one log, with one key, that only grew.

        Returns:
            The size of the newest.
        """
        keys = set(self.seen.values())
        assert len(keys) == 1, keys
        key = VerifierKey.parse(keys.pop())
        opened = [open_checkpoint(note, [key]) for note in self.seen]
        sizes: dict[int, Checkpoint] = {}
        for each in opened:
            assert sizes.setdefault(each.size, each).root == each.root, f"two trees of size {each.size}"
        before: Checkpoint | None = None
        for size in sorted(sizes):
            after = sizes[size]
            if before is not None and before.size:
                answer = self._client.audit.get_consistency_proof(first_size=before.size, second_size=size)
                verify_consistency(before.size, size, before.root, after.root, answer.hashes)
            elif before is not None:
                assert before.root == merkle_root([])
            before = after
        assert before is not None
        return before.size


@contextlib.contextmanager
def patient(server: ServerProcess) -> Iterator[zegel.Client]:
    """The operator's client, whose connection comes back with the server."""
    with server.client(server.operator_token) as client:
        yield client
