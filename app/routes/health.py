"""Metadata doors: whether the service can serve, and what it is."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.engine.backend import Health
from app.routes.state import runner_of
from app.schemas import HealthCheck, Version


def router() -> APIRouter:
    """/health and /version."""
    routes = APIRouter()
    routes.get(
        "/health",
        operation_id="health",
        summary="Health",
        response_model=HealthCheck,
        responses={503: {"model": HealthCheck, "description": "Loading, or cannot load."}},
    )(health)
    routes.get("/version", operation_id="version", summary="Version", response_model=Version)(
        version
    )
    return routes


async def health(request: Request) -> JSONResponse:
    """200 OK once the model is warm; 503 LOADING before, 503 ERROR if it cannot be loaded."""
    status = runner_of(request.app).backend.status().health
    return JSONResponse({"status": status}, 200 if status is Health.OK else 503)


async def version(request: Request) -> Version:
    """What is running."""
    runner = runner_of(request.app)
    worker = runner.backend.status().worker
    return Version(
        pipeline=runner.pipeline.name,
        model_id=runner.settings.model_id,
        version=runner.settings.version,
        accelerators=list(worker.accelerators) if worker else [],
    )
