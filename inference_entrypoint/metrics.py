"""What Prometheus can ask a server for."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300)
_IMAGES = (1, 2, 3, 4, 6, 8, 12, 16, 32)


class Metrics:
    """The counts of one server."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        self.requests = Counter("lensa_requests", "Requests by status.", ["status"], registry=own)
        self.seconds = Histogram(
            "lensa_request_seconds", "From a request to its end.", buckets=_SECONDS, registry=own
        )
        self.images = Counter("lensa_images", "Images that were sent.", registry=own)
        self.batch_images = Histogram(
            "lensa_batch_images", "Images drawn at once.", buckets=_IMAGES, registry=own
        )
        self.batch_seconds = Histogram(
            "lensa_batch_seconds", "Seconds that a batch took.", buckets=_SECONDS, registry=own
        )
        self.waiting = Gauge("lensa_waiting", "Requests that wait.", registry=own)
        self.ready = Gauge("lensa_ready", "1 while images can be made.", registry=own)
        self.restarts = Counter(
            "lensa_drawer_restarts", "The process that draws was started again.", registry=own
        )

    def text(self) -> bytes:
        """Return them in Prometheus' own text format."""
        return generate_latest(self._registry)
