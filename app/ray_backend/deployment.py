"""The Serve application: the service as front end, painters behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError, RayError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from app.engine.messages import Ready
from app.engine.process import WORKER_COMMAND
from app.errors import ShuttingDown
from app.log import configure_logging
from app.main import create_app
from app.ray_backend.backend import RayBackend, ReplicaLost
from app.ray_backend.messages import FromReplica, ReplicaOrder
from app.ray_backend.painter import Painter
from app.ray_backend.ray_settings import RaySettings
from app.settings import Settings
from app.wording import first_line

ROUTER = "app.ray_backend.router:FewestRows"
FRONT_REQUESTS = 100_000
"""That the front end has at a time; QUEUE_LIMIT refuses jobs long before, with a reason."""
REPLICA_QUEUE = 1000
"""QUEUE_LIMIT of a replica: the front end's queue is the queue, and what it sends is taken."""
HEALTH_SECONDS = 5.0
AUTOSCALING_SECONDS = 1.0
"""Between two reports of how many jobs there are."""


def ray_application(
    settings: Settings,
    deployment: RaySettings,
    worker_command: Sequence[str] = WORKER_COMMAND,
) -> serve.Application:
    """The application for `serve.run`.

    Args:
        settings: of the service; folders are those of every node.
        deployment: how many replicas, and with what.
        worker_command: what a replica starts for its worker process.
    """
    folders = {"model_dir": settings.model_dir.absolute(), "data_dir": settings.data_dir.absolute()}
    settings = settings.model_copy(update=folders)
    of_replica = settings.model_copy(update={"queue_limit": REPLICA_QUEUE})
    replicas = Replica.options(**_replica_options(settings, deployment))  # type: ignore[attr-defined]
    front = Front.options(ray_actor_options=_front_options(deployment))  # type: ignore[attr-defined]
    return front.bind(settings, deployment, replicas.bind(of_replica, tuple(worker_command)))


@serve.deployment
class Replica(Painter):
    """A painter as Ray starts and ends it."""

    async def __init__(  # type: ignore[misc]  # Ray awaits it
        self, settings: Settings, worker_command: Sequence[str]
    ) -> None:
        """Returns once the model is loaded; Ray sends nothing before."""
        configure_logging(settings)
        super().__init__(settings, worker_command)
        await self.start()

    async def __del__(self) -> None:
        """Called by Ray when the replica's last job is done."""
        await self.stop()


@serve.deployment(max_ongoing_requests=FRONT_REQUESTS, health_check_period_s=HEALTH_SECONDS)
@serve.ingress()
class Front:
    """The HTTP service; one of it, so that every node's port answers for every job."""

    def __init__(
        self, settings: Settings, deployment: RaySettings, replicas: DeploymentHandle[Replica]
    ) -> None:
        self._settings = settings
        self._deployment = deployment
        self._replicas = replicas

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Ray where the front end is to run."""
        configure_logging(self._settings)
        deployment = self._deployment
        backend = RayBackend(
            self._settings,
            RayReplicas(self._replicas),
            concurrency=deployment.max_replicas * deployment.replica_jobs,
            scales_to_zero=deployment.min_replicas == 0,
        )
        return create_app(self._settings, backend)


class RayReplicas:
    """The replicas behind a Serve handle."""

    def __init__(self, replicas: DeploymentHandle[Replica]) -> None:
        self._replicas = replicas

    async def paint(self, order: ReplicaOrder) -> AsyncGenerator[FromReplica]:
        """See `app.ray_backend.backend.Replicas`."""
        messages = self._replicas.options(stream=True).paint.remote(order)
        is_over = False
        try:
            async for message in messages:
                yield message
            is_over = True
        except (RayError, RayServeException) as error:
            is_over = True
            if _is_loss(error):
                raise ReplicaLost(first_line(error)) from error
            raise
        finally:
            if not is_over:
                messages.cancel()

    async def ready(self) -> Ready:
        """See there."""
        ready: Ready = await self._replicas.ready.remote()
        return ready


def _is_loss(error: Exception) -> bool:
    """Whether the replica, and not the job, is to blame."""
    if isinstance(error, RayTaskError):
        return isinstance(error, ShuttingDown) or isinstance(error.cause, ShuttingDown)
    return isinstance(error, RayActorError | TaskCancelledError | RayServeException)


def _front_options(deployment: RaySettings) -> dict[str, Any]:
    resource = deployment.front_resource
    return {"num_cpus": 1, "resources": {resource: 0.01} if resource else {}}


def _replica_options(settings: Settings, deployment: RaySettings) -> dict[str, Any]:
    return {
        "ray_actor_options": {
            "num_gpus": deployment.replica_gpus,
            "num_cpus": deployment.replica_cpus,
        },
        "max_ongoing_requests": deployment.replica_jobs,
        "autoscaling_config": {
            "min_replicas": deployment.min_replicas,
            "max_replicas": deployment.max_replicas,
            "target_ongoing_requests": deployment.target_jobs,
            "upscale_delay_s": deployment.upscale_delay,
            "downscale_delay_s": deployment.downscale_delay,
            "metrics_interval_s": AUTOSCALING_SECONDS,
            "look_back_period_s": max(deployment.upscale_delay, 2 * AUTOSCALING_SECONDS),
        },
        "request_router_config": {
            "request_router_class": ROUTER,
            "request_router_kwargs": {"mixing_penalty": deployment.mixing_penalty},
        },
        "health_check_period_s": HEALTH_SECONDS,
        # A replica that is no longer needed finishes what it has.
        "graceful_shutdown_timeout_s": settings.request_timeout,
    }
