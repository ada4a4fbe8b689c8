"""The service in front of another host's queue."""

from __future__ import annotations

from fastapi import FastAPI

from app.engine.runner import Runner
from app.jobs.services import JobServices
from app.main import create_app
from app.routes.door import Door
from app.serverless.remote import RemoteBackend, RemoteCalls
from app.serverless.remote_jobs import RemoteJobsDoor
from app.settings import DoorName, Settings


def create_remote_app(settings: Settings, calls: RemoteCalls) -> FastAPI:
    """The application of `create_app`, its jobs sent through `calls`.

    Its own RunPod door would keep jobs on this machine's disk; another one takes its place.
    """
    doors = tuple(name for name in settings.doors if name is not DoorName.RUNPOD)
    settings = settings.model_copy(update={"doors": doors})
    backend = RemoteBackend(settings, calls)

    def doors_of(runner: Runner, services: JobServices) -> list[Door]:
        return [RemoteJobsDoor(runner, services.outbound, calls).door()]

    return create_app(settings, backend, doors_of)
