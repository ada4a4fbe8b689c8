"""What modal_app.py deploys: read where `modal deploy` runs, and no part of the service."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ModalSettings(BaseSettings):
    """The deployment. Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, extra="ignore", protected_namespaces=()
    )

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
