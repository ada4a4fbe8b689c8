"""The start of a runner outside of the HTTP server: begin to load, then wait."""

from __future__ import annotations

import asyncio

from app.engine.backend import Backend, Health
from app.engine.runner import Runner
from app.errors import ModelNotLoaded
from app.media.pool import CodecPool
from app.settings import Settings

LOOK_SECONDS = 0.02
"""Between two looks at whether the model is loaded."""


async def start_runner(settings: Settings, backend: Backend) -> Runner:
    """Have `backend` begin to load the model of `settings`; returns at once."""
    await backend.start(on_failure=lambda: None)
    return Runner(settings, backend, CodecPool())


async def until_loaded(backend: Backend) -> None:
    """Wait until the model is loaded.

    Raises:
        ModelNotLoaded: why it cannot be.
    """
    while (status := backend.status()).health is Health.LOADING:  # noqa: ASYNC110  # has no event
        await asyncio.sleep(LOOK_SECONDS)
    if status.health is Health.ERROR:
        raise ModelNotLoaded(status.error)
