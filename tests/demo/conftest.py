"""The shipped models, loaded once."""

from pathlib import Path

import pytest
from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline

from training.check import load_pipeline
from training.check_video import load_video_pipeline

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture(scope="session")
def image_pipeline() -> StableDiffusionPipeline:
    return load_pipeline(DEMO / "image")


@pytest.fixture(scope="session")
def video_pipeline() -> StableVideoDiffusionPipeline:
    return load_video_pipeline(DEMO / "video")
