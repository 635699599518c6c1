"""The harness's metrics on a Prometheus endpoint, read off the merged results at each scrape."""

from collections.abc import Callable, Iterable

from hdrh.histogram import HdrHistogram
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from jwtdrill.catalog import metrics
from jwtdrill.load.fitness import Fitness
from jwtdrill.load.latency import total_seconds, within
from jwtdrill.load.scoreboard import Scoreboard


class ScoreboardCollector(Collector):
    """Turns results into the contract's metrics. All three are asked at each scrape."""

    def __init__(
        self, board: Callable[[], Scoreboard], fitness: Callable[[], Fitness], users: Callable[[], int]
    ) -> None:
        self._board = board
        self._fitness = fitness
        self._users = users

    def collect(self) -> Iterable[Metric]:
        """The families."""
        board = self._board()
        requests = CounterMetricFamily(
            metrics.REQUESTS.name, metrics.REQUESTS.help, labels=list(metrics.REQUESTS.labels)
        )
        totals: dict[tuple[str, str, str, str], int] = {}
        for tally, count in list(board.counts.items()):
            labels = (tally.flow, tally.case, tally.expected.value, tally.verdict.value)
            totals[labels] = totals.get(labels, 0) + count
        for labels, total in totals.items():
            requests.add_metric(labels, total)
        yield requests
        durations = HistogramMetricFamily(
            metrics.REQUEST_DURATION.name,
            metrics.REQUEST_DURATION.help,
            labels=list(metrics.REQUEST_DURATION.labels),
        )
        for flow, case in sorted({(stream.flow, stream.case) for stream in list(board.latency)}):
            merged = board.merged_latency(lambda s, flow=flow, case=case: (s.flow, s.case) == (flow, case))  # type: ignore[misc]
            durations.add_metric(
                (flow, case), _buckets(merged, metrics.REQUEST_DURATION.buckets), total_seconds(merged)
            )
        yield durations
        missed = CounterMetricFamily(metrics.ARRIVALS_MISSED.name, metrics.ARRIVALS_MISSED.help)
        missed.add_metric((), sum(self._fitness().missed.values()))
        yield missed
        users = GaugeMetricFamily(metrics.USERS.name, metrics.USERS.help)
        users.add_metric((), self._users())
        yield users


def serve(collector: Collector, port: int, address: str) -> Callable[[], None]:
    """Serve there; returns what ends it. Raises OSError for a port in use."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)  # by its start Prometheus knows what happened before the first scrape
    registry.register(collector)
    server, thread = start_http_server(port, addr=address, registry=registry)

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close


def _buckets(histogram: HdrHistogram, bounds: tuple[float, ...]) -> list[tuple[str, float]]:
    """Cumulative counts up to each bound in seconds."""
    counts = [(str(bound), within(histogram, bound * 1e6)) for bound in bounds]
    return [*counts, ("+Inf", histogram.get_total_count())]
