"""The answer of a route that belongs to another pipeline than the loaded one."""

from __future__ import annotations

from fastapi import Request

from app.errors import PipelineNotLoaded
from app.routes.state import runner_of


async def refuse(request: Request) -> None:
    """Say which pipeline is served in its place; the body is not read.

    Raises:
        PipelineNotLoaded: always.
    """
    runner = runner_of(request.app)
    raise PipelineNotLoaded(request.url.path, runner.pipeline.name, runner.settings.model_id)
