"""Where a serverless worker's model is: in its image, in a cache of the platform, on a volume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.diffusion.store import find_model
from app.settings import Settings

BAKED = Path("/app/model")
"""Where Dockerfile.runpod puts a model."""

RUNPOD_FOLDERS = (
    BAKED,
    Path("/runpod-volume/huggingface-cache/hub"),  # RunPod's cached models
    Path("/runpod-volume"),  # a network volume
)
"""Where to look for models on RunPod before MODEL_DIR, in this order."""


def locate(settings: Settings, folders: Sequence[Path] = RUNPOD_FOLDERS) -> Settings:
    """The settings, with MODEL_DIR where the model was found.

    A MODEL_ID that is itself a folder comes first. A folder of `folders` may be laid out as
    Hugging Face's cache or be the model itself. Where the model is nowhere, MODEL_DIR stays
    what it is, and the model is fetched into it.
    """
    if (Path(settings.model_id) / "model_index.json").is_file():
        return settings
    for folder in folders:
        if (folder / "model_index.json").is_file():
            return settings.model_copy(update={"model_id": str(folder)})
        if find_model(settings.model_id, folder, settings.pipeline):
            return settings.model_copy(update={"model_dir": folder})
    return settings
