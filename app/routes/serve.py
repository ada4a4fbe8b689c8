"""A synchronous request from its parameters to its files, for every door that answers so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fastapi import Request

from app.engine.job import JobOptions
from app.engine.runner import Served
from app.media.formats import LOSSLESS, Encoding
from app.pipelines.base import Params
from app.routes.disconnect import unless_client_leaves
from app.routes.state import runner_of
from app.schemas import warning_headers


async def serve(
    request: Request,
    params: Params,
    upload: bytes | None,
    *,
    door: str,
    size: tuple[int, int] | None = None,
    encoding: Encoding = LOSSLESS,
    with_frames: bool = True,
    warnings: Sequence[str] = (),
) -> Served:
    """Run a request to its end; it is cancelled when the client leaves.

    Args:
        request: its id becomes the job's.
        params, upload, size: see `Runner.submit`.
        door: see `JobOptions`.
        encoding, with_frames: see `Runner.finish`.
        warnings: what the client should know already.

    Raises:
        RunnerError: what is wrong with it, or went wrong.
    """
    runner = runner_of(request.app)
    options = JobOptions(
        door,
        job_id=request.state.request_id,
        preview_every=int(runner.settings.previews),  # for those who watch its events
    )
    job = await runner.submit(params, upload, options, size=size)
    request.state.request_id = job.id
    finishing = runner.finish(job, encoding, with_frames=with_frames)
    served = await unless_client_leaves(request, finishing, lambda: runner.backend.cancel(job.id))
    return replace(served, warnings=(*warnings, *served.warnings))


def served_headers(served: Served) -> dict[str, str]:
    """How long the parts of the work took, and what the client should know of its outcome."""
    return {"Server-Timing": served.server_timing, **warning_headers(served.warnings)}
