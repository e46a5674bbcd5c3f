"""What the organisation seals with, judged at start, now and then, and before each sealing.

Invariants:

* Nothing is sealed with credentials that would make a file that nobody can verify: an attempt is refused with the
  problem's own reason, and the request waits.
* An operator is told of a problem when it begins, then once a day; and of what ends within 30 days, once a day.
* What was renewed counts at once: files are looked at, and the timestamp authority is asked again, before a refusal.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Gauge

from zegel_server import clock
from zegel_server.credentials.judging import MEND, NAMES, Item, Problem, SealMaterials, StampedBy, ends_of, judge
from zegel_server.credentials.keyed_certificate import SealIdentity, fingerprint
from zegel_server.credentials.timestamping import TimestampAuthority, stamped_by
from zegel_server.errors import Unavailable
from zegel_server.pdf.completion.timestamp_request import timestamp_request

JUDGED_FOR: Final = timedelta(minutes=1)
"""How long a judgement about the same credentials counts: it checks some ten signatures, and parses the lists."""
STAMP_KEPT: Final = timedelta(days=1)
"""After how long without one a timestamp is asked for, to see which certificate signs them."""
TOLD_EVERY: Final = timedelta(days=1)
"""How often the same thing is told."""

_log = structlog.get_logger("zegel.credentials")


async def renew_nothing() -> None:
    """Renews nothing: of what only files hold, nothing has to be asked for."""


class SealingCredentials:
    """What the organisation seals with.

    Args:
        read_seal: Gives the seal as it is now.
        read: Gives all of it as it is now. May raise ``Unavailable`` if a part is missing, with the reason.
        timestamps: The timestamp authority.
        renew: Renews what is valid for days or hours only.
        registry: The metrics registry; ``None`` for no metrics.
    """

    def __init__(
        self,
        read_seal: Callable[[], SealIdentity],
        read: Callable[[], SealMaterials],
        timestamps: TimestampAuthority,
        renew: Callable[[], Awaitable[None]] = renew_nothing,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._read_seal = read_seal
        self._read = read
        self._timestamps = timestamps
        self._renew = renew
        self._stamped_by: StampedBy | None = None
        self._stamp_time = clock.to_datetime(0)
        self._judged: tuple[object, datetime, Problem | None] | None = None
        self._problem_told: tuple[str, datetime] | None = None
        self._ends_told: dict[tuple[str, str], datetime] = {}
        self._days_left = Gauge(
            "zegel_sealing_credential_days_left",
            "Days until the first of these ends: the certificates of seal or timestamps, or a revocation list.",
            ["credential"],
            registry=registry,
        )
        self._problem = Gauge(
            "zegel_sealing_credential_problem",
            "1 if nothing is sealed because of what the organisation seals with, and 0 if it is in order.",
            registry=registry,
        )

    @property
    def certificate_sha256(self) -> str:
        """SHA-256 of the certificate that seals, in lower-case hex: what a trail names."""
        return fingerprint(self._read_seal())

    async def current(self) -> SealMaterials:
        """What to seal with now.

        Raises:
            Unavailable: A file sealed with it could not be verified; the reason says why.
        """
        materials = self._read()
        if (problem := await self._judge_anew(materials)) is not None:
            raise problem.refusal()
        return materials

    async def timestamp(self, request_der: bytes) -> bytes:
        """Asks the timestamp authority.

        Args:
            request_der: A DER ``TimeStampReq``.

        Returns:
            A DER ``TimeStampResp``, checked as in :class:`TimestampAuthority`.

        Raises:
            Unavailable: There is none, or one that nobody could verify; the reason says why.
        """
        response = await self._ask(request_der)
        if (problem := await self._judge(self._read())) is not None:
            raise problem.refusal()
        return response

    async def keep_up(self) -> None:
        """Renews what is due, judges, and tells the operator; raises nothing that a neighbour causes."""
        await self._renew()
        now = clock.to_datetime(clock.now())
        try:
            materials = self._read()
            if now >= self._stamp_time + STAMP_KEPT:
                await self._probe()
            problem = await self._judge_anew(materials)
        except Unavailable as error:
            self._tell_problem(now, error.reason, error.message)
            return
        if problem is not None:
            self._tell_problem(now, problem.reason, problem.why, problem.mend)
        else:
            if self._problem_told is not None:
                _log.info("what the organisation seals with is in order again")
            self._problem_told = None
            self._problem.set(0)
        await self._tell_ends(materials, now)

    async def _judge_anew(self, materials: SealMaterials) -> Problem | None:
        problem = await self._judge(materials)
        if problem is None or problem.item != "timestamp":
            return problem
        await self._probe()  # the authority may sign with another certificate by now
        return await self._judge(materials)

    async def _probe(self) -> None:
        """Asks for a timestamp of nothing in particular; if there is none, what is known stays."""
        try:
            await self._ask(timestamp_request("sha256", secrets.token_bytes(32)))
        except Unavailable as error:
            _log.info("no timestamp to judge", why=error.message)

    async def _ask(self, request_der: bytes) -> bytes:
        response = await self._timestamps.timestamp(request_der)
        self._stamped_by = stamped_by(response)
        self._stamp_time = clock.to_datetime(clock.now())
        return response

    async def _judge(self, materials: SealMaterials) -> Problem | None:
        now, by = clock.to_datetime(clock.now()), self._stamped_by
        # Answers of a responder are used only if they are good: which one it is makes no difference.
        key = (materials.identity, materials.certificates, materials.crls, bool(materials.ocsps), by)
        last = self._judged
        if last is None or last[0] != key or not last[1] <= now < last[1] + JUDGED_FOR:
            last = self._judged = key, now, await asyncio.to_thread(judge, materials, by, now)
        return last[2]

    def _tell_problem(self, now: datetime, reason: str, why: str, mend: str = "") -> None:
        self._problem.set(1)
        told = self._problem_told
        if told is None or told[0] != reason or now >= told[1] + TOLD_EVERY:
            self._problem_told = reason, now
            _log.error("nothing is sealed", reason=reason, why=why, mend=mend)

    async def _tell_ends(self, materials: SealMaterials, now: datetime) -> None:
        left: dict[Item, float] = {}
        for item, name, warned_from, end in await asyncio.to_thread(list, ends_of(materials, self._stamped_by)):
            days = (end - now) / timedelta(days=1)
            left[item] = min(days, left.get(item, days))
            told = self._ends_told.get((item, name))
            if warned_from <= now < end and (told is None or now >= told + TOLD_EVERY):
                self._ends_told[item, name] = now
                _log.warning(
                    f"{NAMES[item]} ends soon: nothing is sealed without a new one",
                    whose=name,
                    days_left=int(days),
                    end=end.isoformat(),
                    mend=MEND[item],
                )
        for item, days in left.items():
            self._days_left.labels(item).set(days)
