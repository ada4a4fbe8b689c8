"""What modal_app.py deploys: read where `modal deploy` runs, and no part of the service."""

from __future__ import annotations

from pydantic import Field

from app.environment import EnvironmentSettings


class ModalSettings(EnvironmentSettings):
    """The deployment."""

    pipeline: str = Field("text-to-image", description="Which pipeline to serve.")
    model_id: str = Field("stabilityai/sd-turbo", description="The model, from the Hub.")
    modal_gpu: str = Field("L4", description="Modal's name of the GPU.")
    modal_min_containers: int = Field(
        0, ge=0, description="Containers that are kept, and paid for, without any work."
    )
    modal_scaledown_window: int = Field(
        300, ge=2, le=3600, description="Seconds that an idle container stays."
    )
    modal_max_inputs: int = Field(
        8, ge=1, description="Jobs that a container takes at a time, to be batched."
    )
    request_timeout: int = Field(
        600, ge=1, le=86_340, description="Seconds a job may take; Modal is told a minute more."
    )
    modal_snapshot: bool = Field(
        False, description="Start containers from a snapshot of a loaded one (alpha at Modal)."
    )
