"""Traces, received as a collector would."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from tests.server import ROOT, fake_server

trace_service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")

SMALL = {"prompt": "a", "width": 64, "height": 32, "num_inference_steps": 1}
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"


class Collector(HTTPServer):
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[object] = []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        request = trace_service.ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.server.spans.extend(scope.spans)  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_request_is_one_trace_with_its_phases(tmp_path: Path, collector: Collector) -> None:
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    with fake_server(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as running:
        running.wait_ready()
        headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
        answer = httpx.post(f"{running.url}/text-to-image", json=SMALL, headers=headers, timeout=60)
        assert answer.status_code == 200
    spans = {span.name: span for span in collector.spans}
    request = next(span for name, span in spans.items() if "text-to-image" in name)
    assert request.trace_id.hex() == TRACE_ID
    assert request.parent_span_id.hex() == PARENT_ID
    for phase in ("queue", "inference", "encode"):
        assert spans[phase].trace_id.hex() == TRACE_ID
        assert spans[phase].parent_span_id == request.span_id
    assert spans["queue"].end_time_unix_nano == spans["inference"].start_time_unix_nano
    assert not any("health" in name for name in spans)


def test_without_the_packages_the_start_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from app.settings import Settings\n"
        "from app.telemetry import start_tracing\n"
        "start_tracing(Settings(pipeline='text-to-image', model_id='m',"
        " otel_exporter_otlp_endpoint='http://127.0.0.1:1'))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "pip install -r requirements-otel.txt" in run.stderr
