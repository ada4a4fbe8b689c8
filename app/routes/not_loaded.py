"""The answer of a route that belongs to another pipeline than the loaded one."""

from __future__ import annotations

from fastapi import Request

from app.engine.runner import Runner
from app.errors import PipelineNotLoaded


async def refuse(request: Request) -> None:
    """Say which pipeline is served in its place; the body is not read.

    Raises:
        PipelineNotLoaded: always.
    """
    runner: Runner = request.app.state.runner
    raise PipelineNotLoaded(request.url.path, runner.pipeline.name, runner.settings.model_id)
