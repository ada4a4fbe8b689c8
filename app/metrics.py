"""Prometheus metrics: what is counted job by job, and what is read when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from app.engine.backend import Backend, Health
from app.engine.records import OK, JobRecord
from app.errors import RunnerError
from app.schemas import GPUStats

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)
"""From a one-step image on a large GPU to the default REQUEST_TIMEOUT."""
ENCODE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
ROWS = (1, 2, 4, 8, 16, 32, 64)

GPUStatsReader = Callable[[], Mapping[str, GPUStats]]


class Metrics:
    """The service's metrics, in a registry of its own.

    `observe` and `refuse` are told of every request once; the rest is read from its source
    whenever `render` is called.
    """

    def __init__(
        self,
        backend: Backend,
        read_gpus: GPUStatsReader,
        stored_bytes: Callable[[], int],
        pipeline: str,
    ) -> None:
        """Prepare.

        Args:
            backend: whose queue and worker are measured.
            read_gpus: statistics of the GPUs by index.
            stored_bytes: size of the media kept on disk.
            pipeline: the loaded one.
        """
        self._registry = CollectorRegistry()
        self._pipeline = pipeline
        self._requests = Counter(
            "runner_requests",
            "Requests, by the protocol they came through and what became of them.",
            ("door", "pipeline", "outcome"),
            registry=self._registry,
        )
        self._steps = Counter(
            "runner_steps", "Denoising steps of successful jobs.", registry=self._registry
        )
        self._images = Counter("runner_outputs", "Images and videos made.", registry=self._registry)
        self._rows = Histogram(
            "runner_rows_per_forward",
            "Samples in the denoiser's forwards that a job took part in, on average.",
            buckets=ROWS,
            registry=self._registry,
        )
        self._queue = self._seconds("queue", "waited for the worker", SECONDS)
        self._inference = self._seconds("inference", "spent in the worker", SECONDS)
        self._encode = self._seconds("encode", "spent on encoding", ENCODE_SECONDS)
        self._total = self._seconds("request", "from acceptance to the encoded result", SECONDS)
        self._registry.register(_Snapshot(backend, read_gpus, stored_bytes))

    def observe(self, record: JobRecord) -> None:
        """Count a job that is over."""
        self._requests.labels(record.door, record.pipeline, record.outcome).inc()
        self._queue.observe(record.queue_seconds)
        if record.outcome != OK:
            return
        self._inference.observe(record.inference_seconds)
        self._encode.observe(record.encode_seconds)
        self._total.observe(record.queue_seconds + record.inference_seconds + record.encode_seconds)
        self._steps.inc(max(record.steps, 0))
        self._images.inc(record.images)
        self._rows.observe(record.rows)

    def refuse(self, door: str, error: RunnerError) -> None:
        """Count a request that never became a job."""
        self._requests.labels(door, self._pipeline, type(error).__name__).inc()

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def _seconds(self, name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(
            f"runner_{name}_seconds", f"Seconds {what}.", buckets=buckets, registry=self._registry
        )


class _Snapshot:
    """What is read at the moment of asking; a collector of prometheus-client."""

    def __init__(
        self, backend: Backend, read_gpus: GPUStatsReader, stored_bytes: Callable[[], int]
    ) -> None:
        self._backend = backend
        self._read_gpus = read_gpus
        self._stored_bytes = stored_bytes

    def collect(self) -> Iterator[Metric]:
        """Every metric with its value of now."""
        yield from self._of_backend()
        yield _gauge("runner_stored_bytes", "Bytes of media kept on disk.", self._stored_bytes())
        yield from self._of_gpus()

    def _of_backend(self) -> Iterator[Metric]:
        status = self._backend.status()
        healthy = status.health is Health.OK
        yield _gauge("runner_healthy", "1 while /health answers 200.", healthy)
        yield _gauge("runner_queue_depth", "Jobs that wait for the worker.", status.waiting)
        yield _gauge("runner_running_jobs", "Jobs at the worker.", status.running)
        yield CounterMetricFamily(
            "runner_worker_restarts", "Workers that were replaced.", value=status.restarts
        )
        yield CounterMetricFamily(
            "runner_compilations",
            "Graphs compiled by the present worker.",
            value=status.usage.compilations,
        )
        yield CounterMetricFamily(
            "runner_worker_busy_seconds",
            "Seconds that the present worker spent computing.",
            value=status.usage.busy_seconds,
        )

    def _of_gpus(self) -> Iterator[Metric]:
        used = GaugeMetricFamily("runner_gpu_memory_used_bytes", "Memory in use.", labels=["gpu"])
        total = GaugeMetricFamily("runner_gpu_memory_bytes", "Memory in all.", labels=["gpu"])
        busy = GaugeMetricFamily(
            "runner_gpu_utilization_ratio", "Share of time in which kernels ran.", labels=["gpu"]
        )
        for index, gpu in self._read_gpus().items():
            used.add_metric([index], gpu.memory_total - gpu.memory_free)
            total.add_metric([index], gpu.memory_total)
            busy.add_metric([index], gpu.utilization_compute / 100)
        yield from (used, total, busy)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)
