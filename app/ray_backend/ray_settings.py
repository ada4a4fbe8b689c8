"""What ray_app.py deploys: read where the application is built, and no part of the service."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from app.environment import EnvironmentSettings


class RaySettings(EnvironmentSettings):
    """The deployment."""

    replica_gpus: float = Field(1.0, ge=0, description="GPUs of a replica; 0 to run on CPUs.")
    replica_cpus: float = Field(1.0, ge=0, description="CPU cores that Ray sets aside for each.")
    min_replicas: int = Field(1, ge=0, description="Replicas that stay without any work.")
    max_replicas: int = Field(1, ge=1, description="Replicas there may be.")
    replica_jobs: int = Field(
        8, ge=1, le=256, description="Jobs that a replica has at a time, to be batched."
    )
    target_jobs: float = Field(
        4.0,
        gt=0,
        description="Jobs per replica, those that wait included, above which another is started.",
    )
    upscale_delay: float = Field(10.0, ge=0, description="Seconds of a longer queue before that.")
    downscale_delay: float = Field(
        300.0, ge=0, description="Seconds of a shorter one before a replica is ended."
    )
    front_resource: str = Field(
        "", description="Resource of the node that the front end runs on; default any node."
    )
    mixing_penalty: float = Field(
        1.0,
        ge=0,
        description="Rows that a replica counts as more for a size that it has no other job of.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("MIN_REPLICAS is larger than MAX_REPLICAS")
        return self
