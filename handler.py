"""RunPod serverless: the runner behind RunPod's own worker loop.

    python handler.py                                   on RunPod
    python handler.py --test_input '{"input": {...}}'   anywhere; prints what the job made

The loop is the SDK's and starts only once the model is loaded. The runner lives in an event loop
of its own, so that it can be there before the SDK's and never waits for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypedDict

from app.engine.backend import Backend, Health
from app.engine.service import LocalService
from app.engine.start import start_runner, until_loaded
from app.environment import SettingsError, exit_on
from app.errors import LimitExceeded, ModelNotLoaded, RunnerError
from app.log import configure_logging
from app.serverless.background import BackgroundLoop
from app.serverless.hosted import HostedRunner
from app.serverless.models import locate
from app.settings import MEBIBYTE, DoorName, Settings
from app.signals import exit_on_signals

logger = logging.getLogger("handler")

TRIAL = {"pipeline": "text-to-image", "model_id": "demo"}
"""What is served where the environment names nothing; images name what they hold."""


class RunPodJob(TypedDict):
    """What RunPod hands to a worker."""

    id: str
    input: dict[str, Any]


SendProgress = Callable[[RunPodJob, dict[str, Any]], Awaitable[None]]
"""Posts how far a job is; returns when RunPod has it."""


class Handler:
    """Words the outcome of a job for RunPod."""

    def __init__(self, hosted: HostedRunner, send_progress: SendProgress) -> None:
        self._hosted = hosted
        self._send_progress = send_progress

    async def handle(self, job: RunPodJob) -> dict[str, Any]:
        """The job's output; or `error`, with which RunPod makes it FAILED.

        `refresh_worker` comes with it when no job can succeed here any more.
        """
        runner = self._hosted.runner
        try:
            output = await self._hosted.serve(
                job["id"], job["input"], lambda progress: self._send_progress(job, progress)
            )
            await asyncio.to_thread(_check_size, output, runner.settings.max_result_mb)
            return output
        except RunnerError as error:
            failure: dict[str, Any] = {"error": error.message}
        except Exception:
            logger.exception("job %s failed", job["id"])
            failure = {"error": "Internal error; the worker's log says more."}
        if runner.backend.status().health is Health.ERROR:
            failure["refresh_worker"] = True
        return failure


def _check_size(output: dict[str, Any], max_mb: float) -> None:
    """RunPod drops a result that is too large, and reports the job as completed without it."""
    size = len(json.dumps(output))
    if size > max_mb * MEBIBYTE:
        raise LimitExceeded(
            f"The result is {size / MEBIBYTE:.1f} MiB as base64, of which RunPod returns "
            f"{max_mb:g} (MAX_RESULT_MB): ask for fewer or smaller images."
        )


def main(make_backend: Callable[[Settings], Backend] = LocalService) -> None:
    """Serve RunPod's jobs until told to stop."""
    exit_on_signals()
    with exit_on(SettingsError):
        settings = locate(Settings.from_environment(TRIAL))
    configure_logging(settings)
    with exit_on(ModelNotLoaded), BackgroundLoop() as loop:
        runner = loop.run(start_runner(settings, make_backend(settings)))
        try:
            _serve_runpod(loop, HostedRunner(runner, DoorName.RUNPOD))
        finally:
            loop.run(runner.backend.stop())


def _serve_runpod(loop: BackgroundLoop, hosted: HostedRunner) -> None:
    # Imported here: it takes two seconds, in which the model is loading already.
    import runpod
    from runpod.http_client import AsyncClientSession
    from runpod.serverless.modules.rp_http import send_result
    from runpod.serverless.modules.worker_state import IS_LOCAL_TEST

    async def send_progress(job: RunPodJob, progress: dict[str, Any]) -> None:
        """Like the SDK's `progress_update`, which does not tell when the message has arrived."""
        if IS_LOCAL_TEST:
            return
        async with AsyncClientSession() as session:
            await send_result(session, {"status": "IN_PROGRESS", "output": progress}, job)

    handler = Handler(hosted, send_progress)
    backend = hosted.runner.backend

    async def handle(job: RunPodJob) -> dict[str, Any]:
        output = await loop.call(handler.handle(job))
        if IS_LOCAL_TEST:
            # The SDK's own line leaves most of it out.
            sys.stdout.write(json.dumps(output) + "\n")
        return output

    def concurrency(_: int) -> int:
        worker = backend.status().worker
        return worker.concurrency if worker else 1

    loop.run(until_loaded(backend))
    runpod.serverless.start({"handler": handle, "concurrency_modifier": concurrency})


if __name__ == "__main__":
    main()
