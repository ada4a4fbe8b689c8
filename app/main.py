"""Composes the service: `create_app(settings)`, and `app` for `uvicorn app.main:app`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

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
from app.jobs.api import Jobs
from app.jobs.outbound import Outbound
from app.jobs.services import JobServices, media_shelf
from app.lifecycle import ERROR_LINGER, GracefulExit
from app.log import configure_logging
from app.log_tail import LogTail
from app.media.pool import CodecPool
from app.media.shelf import MediaShelf
from app.metrics import Metrics
from app.openapi import describe
from app.request_id import RequestId
from app.routes import activity as activity_door
from app.routes import events, generate, hardware, health, huggingface, jobs, openai, page, state
from app.routes import metrics as metrics_door
from app.routes.arrivals import Arrivals
from app.routes.bodies import BodyLimit
from app.routes.door import Door
from app.routes.gates import CrossSiteGate, TokenGate, at
from app.routes.job_queue import QueueCalls
from app.routes.media import MediaDoor
from app.routes.paths import PlainPaths
from app.settings import DoorName, Settings
from app.telemetry import Tracing, start_tracing

logger = logging.getLogger(__name__)

MakeJobs = Callable[[Runner, Outbound], Jobs]
"""Makes what queues the jobs of RunPod's API, where that is not this service."""


def create_app(
    settings: Settings, backend: Backend | None = None, make_jobs: MakeJobs | None = None
) -> FastAPI:
    """The application that serves the pipeline of `settings`.

    Args:
        settings: the configuration.
        backend: what runs the jobs; by default a worker process on this machine.
        make_jobs: see there; by default jobs are kept in DATA_DIR.

    Raises:
        SettingsError: a setting asks for packages that are not installed.
    """
    parts = _Parts.made(settings, backend or LocalService(settings))
    doors = _doors(parts, make_jobs)
    app = FastAPI(
        title="Diffusion Runner",
        version=settings.version,
        lifespan=lambda _: _life(parts),
        redirect_slashes=False,
        form_limits={"max_part_size": settings.max_upload_bytes},  # a field may hold a data URL
    )
    state.keep(app, parts.runner, parts.services)
    for router in (*_common_routers(parts), *(door.router for door in doors)):
        app.include_router(router)
    errors = ErrorTable(settings.overload_status, [door.dialect for door in doors if door.dialect])
    errors.install(app)
    _add_gates(app, parts, doors, errors)
    if parts.tracing:
        parts.tracing.install(app)
    app.openapi = lambda: describe(app, settings.model_id)  # type: ignore[method-assign]
    return app


@dataclass(frozen=True, slots=True)
class _Parts:
    """What an application serves with, whichever doors are open."""

    settings: Settings
    runner: Runner
    services: JobServices
    shelf: MediaShelf
    codecs: CodecPool
    arrivals: Arrivals
    activity: Activity
    metrics: Metrics
    log_tail: LogTail
    tracing: Tracing | None

    @classmethod
    def made(cls, settings: Settings, backend: Backend) -> Self:
        codecs, activity, shelf = CodecPool(), Activity(), media_shelf(settings)
        metrics = Metrics(backend, gpu_stats, lambda: shelf.stored_bytes, settings.pipeline)
        tracing = start_tracing(settings)
        observers = [log_record, activity.observe, metrics.observe]
        if tracing:
            observers.append(tracing.observe)
        runner = Runner(settings, backend, codecs, observers, metrics.refuse)
        return cls(
            settings=settings,
            runner=runner,
            services=JobServices(runner, shelf),
            shelf=shelf,
            codecs=codecs,
            arrivals=Arrivals(settings.max_upload_bytes),
            activity=activity,
            metrics=metrics,
            log_tail=LogTail(),
            tracing=tracing,
        )


@asynccontextmanager
async def _life(parts: _Parts) -> AsyncIterator[None]:
    """From the start of the model's loading to the end of everything."""

    async def drain() -> None:
        parts.arrivals.close()
        await parts.services.drain()

    exit_ = GracefulExit(drain, parts.settings.drain_seconds)
    exit_.install()
    logging.getLogger().addHandler(parts.log_tail)
    await parts.runner.backend.start(on_failure=lambda: exit_.exit_after(ERROR_LINGER))
    await parts.services.start()
    yield
    await parts.services.stop()
    parts.codecs.close()
    if parts.tracing:
        parts.tracing.close()
    logging.getLogger().removeHandler(parts.log_tail)


def _common_routers(parts: _Parts) -> Sequence[APIRouter]:
    """The routes that are there whatever DOORS says."""
    return (
        health.router(),
        hardware.router(),
        metrics_door.router(parts.metrics),
        MediaDoor(parts.shelf, parts.codecs).router(),
        events.EventsDoor(parts.runner, parts.services.queue).router(),
    )


def _doors(parts: _Parts, make_jobs: MakeJobs | None) -> Sequence[Door]:
    """The protocols that DOORS names."""
    pipeline = parts.runner.pipeline
    page_router = APIRouter()
    page_router.include_router(activity_door.router(parts.activity, parts.log_tail))
    page_router.include_router(page.router())
    doors = (
        Door(DoorName.LIVEPEER, generate.router(pipeline), at(f"/{pipeline.name}")),
        Door(DoorName.OPENAI, openai.router([pipeline]), openai.guard, openai.DIALECT),
        Door(
            DoorName.HUGGINGFACE,
            huggingface.router([pipeline]),
            huggingface.guard,
            huggingface.DIALECT,
        ),
        Door(DoorName.RUNPOD, _jobs_door(parts, make_jobs).router(), jobs.guard, jobs.DIALECT),
        Door(DoorName.PAGE, page_router, at(activity_door.PATH)),
    )
    return [door for door in doors if door.name in parts.settings.doors]


def _jobs_door(parts: _Parts, make_jobs: MakeJobs | None) -> jobs.JobsDoor:
    runner, codecs, services = parts.runner, parts.codecs, parts.services
    if make_jobs:
        return jobs.JobsDoor(runner, codecs, make_jobs(runner, services.outbound))
    own_calls = QueueCalls(services.queue, runner.backend)
    return jobs.JobsDoor(runner, codecs, services.jobs, own_calls)


def _add_gates(app: FastAPI, parts: _Parts, doors: Sequence[Door], errors: ErrorTable) -> None:
    """The last one added is the first that a request meets."""
    app.add_middleware(BodyLimit, parts.arrivals, errors.response, huggingface.guard)
    if token := parts.settings.auth_token:
        app.add_middleware(
            TokenGate,
            token.get_secret_value(),
            [events.guard, *(door.guard for door in doors)],
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
