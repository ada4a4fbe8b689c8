"""Modal: the runner on its GPUs, the service on a CPU in front of them. See docs/deploy-modal.md.

    modal run modal_app.py::download_model      puts the model on the volume
    modal deploy modal_app.py                   serves it

The service is the one that `python -m app` starts; its jobs go through Modal's own queue to as
many GPU containers as Modal starts. Both sides import this file.
"""

# No `from __future__ import annotations`: Modal reads the types of Runner's parameters.
from pathlib import Path
from typing import Any

import modal
from fastapi import FastAPI

from app.engine.elsewhere import Pixels
from app.engine.messages import Inputs
from app.engine.service import LocalService
from app.engine.start import start_runner, until_loaded
from app.environment import SettingsError, exit_on
from app.errors import JobFailed
from app.log import configure_logging
from app.serverless.background import BackgroundLoop
from app.serverless.fetch import fetch
from app.serverless.hosted import HostedRunner
from app.serverless.modal_settings import ModalSettings
from app.serverless.remote import CallCancelled, CallNotFinished, CallNotFound
from app.serverless.remote_service import create_remote_app
from app.settings import Settings

NAME = "diffusion-runner"
MODELS = "/models"
HERE = Path(__file__).parent
SLACK_SECONDS = 60
"""What Modal allows a job beyond REQUEST_TIMEOUT, so that the runner's own words come first."""

with exit_on(SettingsError):
    deployment = ModalSettings.from_environment()
environment = {
    "PIPELINE": deployment.pipeline,
    "MODEL_ID": deployment.model_id,
    "MODEL_DIR": MODELS,
    "DATA_DIR": "/tmp/data",  # noqa: S108  # nothing in it is kept
    "REQUEST_TIMEOUT": str(deployment.request_timeout),
    "MODAL_SNAPSHOT": str(deployment.modal_snapshot),
}
longest = deployment.request_timeout + SLACK_SECONDS
image = (
    modal.Image.debian_slim(python_version="3.11")
    .apt_install("gcc", "libc6-dev")
    .uv_pip_install(requirements=[str(HERE / "requirements.txt")])
    .env(environment)
    .add_local_dir(HERE / "app", "/root/app", ignore=["**/__pycache__"])
)
models = modal.Volume.from_name("models", create_if_missing=True)
progress = modal.Dict.from_name(f"{NAME}-progress", create_if_missing=True)
app = modal.App(NAME, image=image)


@app.function(
    volumes={MODELS: models}, secrets=[modal.Secret.from_name("huggingface")], timeout=3600
)
def download_model(
    model_id: str = deployment.model_id, pipeline: str = deployment.pipeline, revision: str = ""
) -> None:
    """Fetch a model from the Hub into the volume.

    Args:
        model_id: its id on the Hub.
        pipeline: the one that it is for.
        revision: branch, tag or commit; the main branch if there is none.
    """
    settings = Settings(pipeline=pipeline, model_id=model_id)
    configure_logging(settings)
    fetch(settings, revision)
    models.commit()


@app.cls(
    gpu=deployment.modal_gpu,
    volumes={MODELS: models},
    min_containers=deployment.modal_min_containers,
    scaledown_window=deployment.modal_scaledown_window,
    startup_timeout=900,
    timeout=longest,
    enable_memory_snapshot=deployment.modal_snapshot,
    experimental_options={"enable_gpu_snapshot": True} if deployment.modal_snapshot else None,
)
@modal.concurrent(max_inputs=deployment.modal_max_inputs)
class Runner:
    """A GPU with a loaded model."""

    pipeline: str = modal.parameter(default=deployment.pipeline)
    model_id: str = modal.parameter(default=deployment.model_id)

    @modal.enter(snap=deployment.modal_snapshot)
    def load(self) -> None:
        """Load the model, before Modal sends the first job."""
        self._load()

    def _load(self) -> None:
        settings = Settings(pipeline=self.pipeline, model_id=self.model_id)
        configure_logging(settings)
        self._loop = BackgroundLoop().__enter__()
        runner = self._loop.run(start_runner(settings, LocalService(settings)))
        self._hosted = HostedRunner(runner, door="modal")
        self._loop.run(until_loaded(runner.backend))

    @modal.exit()
    def close(self) -> None:
        """End the worker process, after Modal's last job."""
        self.unload()

    def unload(self) -> None:
        """What `.local()` callers do themselves, once they are done."""
        self._loop.run(self._hosted.runner.backend.stop())
        self._loop.__exit__(None, None, None)

    @modal.method()
    async def generate(self, given: dict[str, Any]) -> dict[str, Any]:
        """The output of a job as RunPod's clients word it: `{"prompt": "…"}`.

        Raises:
            RunnerError: why there is none.
        """
        self._load_if_local()
        call_id = modal.current_function_call_id()

        async def report(output: dict[str, Any]) -> None:
            if call_id:
                await progress.put.aio(call_id, output)

        return await self._loop.call(self._hosted.serve(call_id or "local", given, report))

    @modal.method()
    async def paint(self, inputs: Inputs, image: bytes | None) -> Pixels:
        """What the service asks for: pixels that it encodes itself.

        Raises:
            RunnerError: why there are none.
        """
        self._load_if_local()
        return await self._loop.call(self._hosted.paint(inputs, image))

    def _load_if_local(self) -> None:
        """`.local()` of an async method does not enter the object."""
        if not hasattr(self, "_hosted"):
            self._load()


class ModalCalls:
    """Modal's queue, as the service sees it.

    Args:
        runner: the Runner whose methods are called.
        progress: Modal's Dict of how far the calls are, by their ids, and which were cancelled.
        find_call: the call of an id.
    """

    def __init__(
        self, runner: Any, progress: Any, find_call: Any = modal.FunctionCall.from_id
    ) -> None:
        self._runner = runner
        self._progress = progress
        self._find_call = find_call

    async def paint(self, inputs: Inputs, image: bytes | None) -> str:
        """See RemoteCalls."""
        call = await self._runner.paint.spawn.aio(inputs, image)
        return str(call.object_id)

    async def generate(self, given: dict[str, Any]) -> str:
        """See RemoteCalls."""
        call = await self._runner.generate.spawn.aio(given)
        return str(call.object_id)

    async def result(self, call_id: str, seconds: float | None) -> Any:
        """See RemoteCalls."""
        try:
            return await self._find_call(call_id).get.aio(timeout=seconds)
        except TimeoutError as error:
            raise CallCancelled if await self._is_cancelled(call_id) else CallNotFinished from error
        except (
            modal.exception.OutputExpiredError,
            modal.exception.NotFoundError,
            modal.exception.InvalidError,
        ) as error:
            raise CallNotFound from error
        except modal.exception.FunctionTimeoutError as error:
            raise JobFailed("The job took longer than Modal was told to let it run.") from error
        except modal.exception.Error as error:
            if await self._is_cancelled(call_id):
                raise CallCancelled from error
            raise JobFailed(f"The job failed at Modal: {error}") from error

    async def progress(self, call_id: str) -> dict[str, Any] | None:
        """See RemoteCalls."""
        found: dict[str, Any] | None = await self._progress.get.aio(call_id)
        return found

    async def cancel(self, call_id: str) -> None:
        """See RemoteCalls."""
        await self._progress.put.aio(_cancelled(call_id), True)
        await self._find_call(call_id).cancel.aio()

    async def _is_cancelled(self, call_id: str) -> bool:
        """Modal's own result does not tell a cancellation from a failure."""
        return bool(await self._progress.get.aio(_cancelled(call_id)))


def _cancelled(call_id: str) -> str:
    """Where it is noted that a call was cancelled."""
    return f"{call_id} cancelled"


@app.function(
    secrets=[modal.Secret.from_name("api-auth-token", required_keys=["AUTH_TOKEN"])],
    scaledown_window=deployment.modal_scaledown_window,
    timeout=longest,
    max_containers=1,  # OpenAI's videos are looked up where they were queued
)
@modal.concurrent(max_inputs=1000)
@modal.asgi_app()
def web() -> FastAPI:
    """The service; a container of it costs no GPU."""
    settings = Settings.from_environment()
    configure_logging(settings)
    return create_remote_app(settings, ModalCalls(Runner(), progress))
