"""Composes the service: `create_app(settings)`, and `app` for `uvicorn app.main:app`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI

from app.activity import Activity
from app.engine.backend import Backend, Health
from app.engine.process import WorkerProcess
from app.engine.records import log_record
from app.engine.runner import Runner
from app.engine.service import LocalService
from app.environment import SettingsError, exit_on
from app.error_table import ErrorTable
from app.hardware import gpu_stats
from app.jobs.services import JobServices, media_shelf
from app.lifecycle import ERROR_LINGER, GracefulExit
from app.log import configure_logging
from app.log_tail import LogTail
from app.media.pool import CodecPool
from app.metrics import Metrics
from app.openapi import describe
from app.request_id import RequestId
from app.routes import activity as activity_door
from app.routes import events, generate, hardware, health, huggingface, jobs, openai, page, state
from app.routes import metrics as metrics_door
from app.routes.arrivals import Arrivals
from app.routes.bodies import BodyLimit
from app.routes.door import Door
from app.routes.gates import CrossSiteGate, Guard, TokenGate, at
from app.routes.media import MediaDoor
from app.routes.paths import PlainPaths
from app.settings import DoorName, Settings
from app.telemetry import start_tracing

logger = logging.getLogger(__name__)

MoreDoors = Callable[[Runner, JobServices], Sequence[Door]]
"""Protocols beside those that DOORS names, made with what serves those."""


def create_app(
    settings: Settings, backend: Backend | None = None, more_doors: MoreDoors | None = None
) -> FastAPI:
    """The application that serves the pipeline of `settings`.

    Args:
        settings: the configuration.
        backend: what runs the jobs; by default a worker process on this machine.
        more_doors: further protocols.

    Raises:
        SettingsError: a setting asks for packages that are not installed.
    """
    codecs, activity, log_tail = CodecPool(), Activity(), LogTail()
    backend = backend or LocalService(settings)
    shelf = media_shelf(settings)
    metrics = Metrics(backend, gpu_stats, lambda: shelf.stored_bytes, settings.pipeline)
    tracing = start_tracing(settings)
    observers = [log_record, activity.observe, metrics.observe]
    if tracing:
        observers.append(tracing.observe)
    runner = Runner(settings, backend, codecs, observers, metrics.refuse)
    services = JobServices(runner, shelf)
    arrivals = Arrivals(settings.max_upload_bytes)

    async def drain() -> None:
        arrivals.close()
        await services.drain()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        exit_ = GracefulExit(drain, settings.drain_seconds)
        exit_.install()
        logging.getLogger().addHandler(log_tail)
        await runner.backend.start(on_failure=lambda: exit_.exit_after(ERROR_LINGER))
        await services.start()
        yield
        await services.stop()
        codecs.close()
        if tracing:
            tracing.close()
        logging.getLogger().removeHandler(log_tail)

    app = FastAPI(
        title="Diffusion Runner",
        version=settings.version,
        lifespan=lifespan,
        redirect_slashes=False,
        form_limits={"max_part_size": settings.max_upload_bytes},  # a field may hold a data URL
    )
    state.keep(app, runner, services)
    app.include_router(health.router())
    app.include_router(hardware.router())
    app.include_router(metrics_door.router(metrics))
    app.include_router(MediaDoor(shelf, codecs).router())
    app.include_router(events.EventsDoor(runner, services.queue).router())
    doors = _doors(runner, services, codecs, activity, log_tail)
    if more_doors:
        doors += more_doors(runner, services)
    for door in doors:
        app.include_router(door.router)
    errors = ErrorTable(settings.overload_status, [door.dialect for door in doors if door.dialect])
    errors.install(app)
    _add_gates(app, settings, arrivals, [events.guard, *(door.guard for door in doors)], errors)
    if tracing:
        tracing.install(app)
    app.openapi = lambda: describe(app, settings.model_id)  # type: ignore[method-assign]
    return app


def _doors(
    runner: Runner, services: JobServices, codecs: CodecPool, activity: Activity, log_tail: LogTail
) -> list[Door]:
    """The protocols that DOORS names."""
    pipeline = runner.pipeline
    queue_api = jobs.JobsDoor(runner, services.queue, services.outbound, codecs)
    page_router = APIRouter()
    page_router.include_router(activity_door.router(activity, log_tail))
    page_router.include_router(page.router())
    doors = [
        Door(DoorName.LIVEPEER, generate.router(pipeline), at(f"/{pipeline.name}")),
        Door(DoorName.OPENAI, openai.router([pipeline]), openai.guard, openai.DIALECT),
        Door(
            DoorName.HUGGINGFACE,
            huggingface.router([pipeline]),
            huggingface.guard,
            huggingface.DIALECT,
        ),
        Door(DoorName.RUNPOD, queue_api.router(), jobs.guard, jobs.DIALECT),
        Door(DoorName.PAGE, page_router, at(activity_door.PATH)),
    ]
    return [door for door in doors if door.name in runner.settings.doors]


def _add_gates(
    app: FastAPI,
    settings: Settings,
    arrivals: Arrivals,
    guards: Sequence[Guard],
    errors: ErrorTable,
) -> None:
    """The last one added is the first that a request meets."""
    app.add_middleware(BodyLimit, arrivals, errors.response, huggingface.guard)
    if settings.auth_token:
        app.add_middleware(
            TokenGate,
            settings.auth_token.get_secret_value(),
            guards,
            jobs.guard,  # RunPod's clients may send the bare token
            errors.response,
        )
    app.add_middleware(CrossSiteGate, errors.response)
    app.add_middleware(PlainPaths)
    app.add_middleware(RequestId)


def exit_code(app: FastAPI) -> int:
    """What the process should report: 1 if the model could not be loaded."""
    return 1 if state.runner_of(app).backend.status().health is Health.ERROR else 0


def create_app_from_environment(first_worker: WorkerProcess | None = None) -> FastAPI:
    """The application of the environment's settings, its logging set up.

    Unusable settings end the process with one line.

    Args:
        first_worker: a worker process that runs already, to begin with.
    """
    with exit_on(SettingsError):
        settings = Settings.from_environment()
        configure_logging(settings)
        for name, meant in Settings.misspelt().items():
            logger.warning("%s is no setting of this service: was %s meant?", name, meant)
        return create_app(settings, LocalService(settings, first_worker=first_worker))


def __getattr__(name: str) -> Any:
    """Build `app` when uvicorn asks for it, so that importing this module starts nothing."""
    if name != "app":
        raise AttributeError(name)
    return create_app_from_environment()
