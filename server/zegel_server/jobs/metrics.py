"""Metrics of jobs, by kind."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class JobMetrics:
    """The metrics of jobs.

    Args:
        registry: The registry that the metrics belong to.

    Attributes:
        waiting: Jobs that wait or run.
        oldest: For how many seconds the longest overdue of them has been due.
        blocked: Those whose last failure will not go away by waiting.
        dead: Dead letters.
        done: Jobs that this process completed.
        failures: Attempts in this process that failed.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, ["kind"], registry=registry)

        def counter(name: str, text: str) -> Counter:
            return Counter(name, text, ["kind"], registry=registry)

        self.waiting = gauge("zegel_jobs_waiting", "Jobs that wait or run.")
        self.oldest = gauge("zegel_jobs_oldest_seconds", "How long the longest overdue job has been due.")
        self.blocked = gauge("zegel_jobs_blocked", "Jobs that fail until something is fixed, and are still retried.")
        self.dead = gauge("zegel_jobs_dead", "Jobs that were given up, and wait for an operator.")
        self.done = counter("zegel_jobs_done_total", "Jobs that were done.")
        self.failures = counter("zegel_job_failures_total", "Attempts that failed.")
