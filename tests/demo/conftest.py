"""The shipped models, loaded once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline

from training.check import load_pipeline
from training.check_video import load_video_pipeline

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small networks gain little from threads, and on a busy machine lose much by waiting."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def image_pipeline() -> StableDiffusionPipeline:
    return load_pipeline(DEMO / "image")


@pytest.fixture(scope="session")
def video_pipeline() -> StableVideoDiffusionPipeline:
    return load_video_pipeline(DEMO / "video")
