"""Metrics of the PDF sandbox, by kind of job."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class SandboxMetrics:
    """The metrics of the sandbox.

    Args:
        registry: The registry that the metrics belong to; ``None`` for one of their own.

    Attributes:
        waiting: Jobs that wait for a slot.
        refused: Jobs that were refused because too many of one tenant's were waiting.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self.waiting = Gauge("zegel_pdf_jobs_waiting", "PDF jobs that wait for a slot.", ["kind"], registry=registry)
        self.refused = Counter(
            "zegel_pdf_jobs_refused_total",
            "PDF jobs refused because too many of one tenant's were waiting.",
            ["kind"],
            registry=registry,
        )
