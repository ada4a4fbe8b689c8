"""A synchronous request from its parameters to its files, for every door that answers so."""

from __future__ import annotations

from fastapi import Request

from app.engine.job import JobOptions
from app.engine.runner import Served
from app.media.formats import LOSSLESS, Encoding
from app.pipelines.base import Params
from app.routes.disconnect import unless_client_leaves
from app.routes.state import runner_of
from app.schemas import warning_header


async def serve(
    request: Request,
    params: Params,
    upload: bytes | None,
    *,
    door: str,
    size: tuple[int, int] | None = None,
    encoding: Encoding = LOSSLESS,
    with_frames: bool = True,
) -> Served:
    """Run a request to its end; it is cancelled when the client leaves.

    Args:
        request: its id becomes the job's.
        params, upload, size: see `Runner.submit`.
        door: see `JobOptions`.
        encoding, with_frames: see `Runner.finish`.

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
    return await unless_client_leaves(request, finishing, lambda: runner.backend.cancel(job.id))


def served_headers(served: Served) -> dict[str, str]:
    """How long the parts of the work took, and what the client should know of its outcome."""
    headers = {"Server-Timing": served.server_timing}
    if served.warnings:
        headers["Warning"] = warning_header(served.warnings)
    return headers
