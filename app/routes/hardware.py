"""Metadata doors: the GPUs and their use."""

from __future__ import annotations

from fastapi import APIRouter, Request

from app.hardware import gpu_info, gpu_stats
from app.routes.state import runner_of
from app.schemas import HardwareInformation, HardwareStats


def router() -> APIRouter:
    """/hardware/info and /hardware/stats; plain functions, so that NVML runs in a thread."""
    routes = APIRouter(prefix="/hardware")
    routes.get("/info", operation_id="hardwareInfo", summary="Hardware Info")(info)
    routes.get("/stats", operation_id="hardwareStats", summary="Hardware Stats")(stats)
    return routes


def info(request: Request) -> HardwareInformation:
    """Name, memory and compute capability of every GPU."""
    runner = runner_of(request.app)
    return HardwareInformation(
        pipeline=runner.pipeline.name, model_id=runner.settings.model_id, gpu_info=gpu_info()
    )


def stats(request: Request) -> HardwareStats:
    """Memory and utilisation of every GPU."""
    runner = runner_of(request.app)
    return HardwareStats(
        pipeline=runner.pipeline.name, model_id=runner.settings.model_id, gpu_stats=gpu_stats()
    )
