"""prometheus_client instruments made from the catalogue, so that nobody spells a metric a second time."""

from typing import Any, overload

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from jwtdrill.catalog.metrics import Kind, Metric

MOST_KIDS = 16  # keys of one issuer that a process names at a time, however many it publishes or has published
UNKNOWN = "unknown"  # label value for whatever a token claims and nobody configured or published


class Instruments:
    """The instruments of one registry, each made when it is first asked for."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._made: dict[str, MetricWrapperBase] = {}

    def counter(self, metric: Metric) -> Counter:
        """The counter of that catalogue entry."""
        return self._get(metric, Counter)

    def gauge(self, metric: Metric) -> Gauge:
        """The gauge of that catalogue entry."""
        return self._get(metric, Gauge)

    def histogram(self, metric: Metric) -> Histogram:
        """The histogram of that catalogue entry, with its buckets."""
        return self._get(metric, Histogram)

    @overload
    def _get(self, metric: Metric, factory: type[Counter]) -> Counter: ...
    @overload
    def _get(self, metric: Metric, factory: type[Gauge]) -> Gauge: ...
    @overload
    def _get(self, metric: Metric, factory: type[Histogram]) -> Histogram: ...
    def _get(self, metric: Metric, factory: type[MetricWrapperBase]) -> MetricWrapperBase:
        made = self._made.get(metric.name)
        if made is None:
            extra: dict[str, Any] = {"buckets": metric.buckets} if metric.kind is Kind.HISTOGRAM else {}
            made = factory(metric.name, metric.help, metric.labels, registry=self.registry, **extra)
            self._made[metric.name] = made
        if not isinstance(made, factory):
            raise TypeError(f"{metric.name} is a {metric.kind}, not a {factory.__name__.lower()}")
        return made
