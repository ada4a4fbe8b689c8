"""Metadata door: metrics for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from app.metrics import Metrics


def router(metrics: Metrics) -> APIRouter:
    """/metrics; a plain function, so that NVML is read in a thread."""
    routes = APIRouter()

    def render() -> Response:
        """Metrics in Prometheus' text format."""
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)

    routes.get("/metrics", include_in_schema=False)(render)
    return routes
