"""What an operator sees of requests: a log line for each, and metrics. No personal data, secret or payload."""

import time
from collections.abc import Callable
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from zegel_server.logs import trace_of

BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""Bucket bounds of the latency histogram, in seconds: from reading a row to a large download."""


class Telemetry:
    """Counts and logs requests.

    Args:
        registry: The registry that the metrics belong to.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._log = structlog.get_logger("zegel.rpc")
        self._handled = Counter(
            "zegel_requests", "Requests by method and status.", ["method", "code"], registry=registry
        )
        self._seconds = Histogram(
            "zegel_request_seconds", "Time a request took.", ["method"], buckets=BUCKETS_S, registry=registry
        )
        self._running = Gauge("zegel_requests_running", "Requests under way.", registry=registry)
        self._series: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def watch(self, running: Callable[[], int]) -> None:
        """Reports how many requests are running whenever the metrics are read.

        Args:
            running: Counts them.
        """
        self._running.set_function(running)

    @staticmethod
    def started() -> float:
        """Notes that a request began.

        Returns:
            The moment, to be passed to ``ended``.
        """
        return time.perf_counter()

    def ended(self, began: float, *, method: str, code: str, reason: str, request_id: str, session_id: str) -> None:
        """Notes how a request ended.

        Args:
            began: What ``started`` returned.
            method: Its path.
            code: Name of its status.
            reason: Reason of its error, or empty.
            request_id: Its identifier.
            session_id: The session it came with, or empty: an identifier, not a secret.
        """
        seconds = time.perf_counter() - began
        series = self._series.get((method, code))
        if series is None:
            series = (self._handled.labels(method, code), self._seconds.labels(method))
            self._series[method, code] = series
        series[0].inc()
        series[1].observe(seconds)
        self._log.info(
            "request",
            method=method,
            code=code,
            reason=reason,
            ms=round(seconds * 1_000, 3),
            request_id=request_id,
            session=session_id,
        )

    def failed(self, error: BaseException, *, method: str, request_id: str) -> None:
        """Logs a bug for the operator: what was raised where, and its causes.

        The exceptions' texts are left out: those of a database or a parser repeat what a person wrote.

        Args:
            error: What was raised.
            method: In which method.
            request_id: In which request.
        """
        self._log.error("defect", method=method, request_id=request_id, trace=trace_of(error))
