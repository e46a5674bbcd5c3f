"""The metrics of the jobs, by kind."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class JobMetrics:
    """What is measured of the jobs.

    Args:
        registry: Where the metrics are kept.

    Attributes:
        waiting: Jobs that wait or run.
        oldest: Seconds since the one of them was due that has been due longest.
        blocked: Those whose last reason does not pass by waiting.
        dead: Dead letters.
        done: Jobs that this process did.
        failures: Attempts in this process that failed.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, ["kind"], registry=registry)

        def counter(name: str, text: str) -> Counter:
            return Counter(name, text, ["kind"], registry=registry)

        self.waiting = gauge("zegel_jobs_waiting", "Jobs that wait or run.")
        self.oldest = gauge("zegel_jobs_oldest_seconds", "How long the job that was due first has been due.")
        self.blocked = gauge("zegel_jobs_blocked", "Jobs that cannot be done as they are, and are tried all the same.")
        self.dead = gauge("zegel_jobs_dead", "Jobs that were given up, and wait for an operator.")
        self.done = counter("zegel_jobs_done_total", "Jobs that were done.")
        self.failures = counter("zegel_job_failures_total", "Attempts that failed.")
