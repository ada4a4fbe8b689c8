"""OpenTelemetry traces, an optional extra: one span a request, and one for each of its phases.

The packages are imported only when OTEL_EXPORTER_OTLP_ENDPOINT is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.engine.records import JobRecord
from app.environment import SettingsError
from app.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

SERVICE_NAME = "diffusion-runner"
UNTRACED = "/health,/metrics,/version,/hardware/.*,/ping"
"""What machines ask all the time."""
TRACES_PATH = "/v1/traces"
"""Below the endpoint, by OTLP's specification of the exporter over HTTP."""
NANOSECONDS = 1_000_000_000


class Tracing:
    """Sends spans to a collector. Context of W3C's `traceparent` is continued."""

    def __init__(self, settings: Settings) -> None:
        """Prepare.

        Raises:
            SettingsError: the packages are not installed.
        """
        self._provider = _provider(settings)
        self._tracer: Tracer = self._provider.get_tracer("app")

    def install(self, app: FastAPI) -> None:
        """Trace the application's requests."""
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
        from opentelemetry.util.http import parse_excluded_urls

        app.add_middleware(
            OpenTelemetryMiddleware,
            excluded_urls=parse_excluded_urls(UNTRACED),
            exclude_spans=["receive", "send"],
            tracer_provider=self._provider,
        )

    def observe(self, record: JobRecord) -> None:
        """Add a finished job's phases to the span of the request that waited for it."""
        phases = {
            "encode": record.encode_seconds,
            "inference": record.inference_seconds,
            "queue": record.queue_seconds,
        }
        end = int(record.finished_at * NANOSECONDS)
        for name, seconds in phases.items():
            start = end - int(seconds * NANOSECONDS)
            span = self._tracer.start_span(name, start_time=start)
            span.set_attributes(
                {
                    "job.id": record.id,
                    "job.door": record.door,
                    "job.steps": record.steps,
                    "job.rows": record.rows,
                    "job.outcome": record.outcome,
                }
            )
            span.end(end)
            end = start

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def start_tracing(settings: Settings) -> Tracing | None:
    """Tracing, if the settings ask for it.

    Raises:
        SettingsError: it is asked for and its packages are not installed.
    """
    return Tracing(settings) if settings.otel_exporter_otlp_endpoint else None


def trace_headers() -> dict[str, str]:
    """Headers that pass the present trace on to another service; none without tracing."""
    try:
        from opentelemetry import propagate
    except ImportError:
        return {}
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def _provider(settings: Settings) -> TracerProvider:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation import asgi  # noqa: F401  # fail now, not at a request
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT needs packages that are not installed "
            f"({error.name}): pip install -r requirements-otel.txt"
        ) from error
    resource = Resource.create(
        {
            "service.name": SERVICE_NAME,
            "service.version": settings.version,
            "runner.pipeline": settings.pipeline,
            "runner.model_id": settings.model_id,
        }
    )
    provider = TracerProvider(resource=resource)
    endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/") + TRACES_PATH
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    return provider
