"""The service in front of another host's queue."""

from __future__ import annotations

from fastapi import FastAPI

from app.main import create_app
from app.serverless.remote import RemoteBackend, RemoteCalls
from app.serverless.remote_jobs import RemoteJobs
from app.settings import Settings


def create_remote_app(settings: Settings, calls: RemoteCalls) -> FastAPI:
    """The application of `create_app`, its jobs sent through `calls`.

    Those of RunPod's API are queued by the host, too, and not on this machine's disk.
    """
    return create_app(
        settings,
        RemoteBackend(settings, calls),
        lambda runner, outbound: RemoteJobs(runner, outbound, calls),
    )
