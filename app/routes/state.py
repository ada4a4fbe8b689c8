"""What an application serves with, where its routes find it."""

from __future__ import annotations

from fastapi import FastAPI

from app.engine.runner import Runner
from app.jobs.services import JobServices


def keep(app: FastAPI, runner: Runner, services: JobServices) -> None:
    """Have the application's routes find these."""
    app.state.runner, app.state.services = runner, services


def runner_of(app: FastAPI) -> Runner:
    """The runner that was kept."""
    runner: Runner = app.state.runner
    return runner


def services_of(app: FastAPI) -> JobServices:
    """What serves asynchronous jobs."""
    services: JobServices = app.state.services
    return services
