"""Every part of both models, trained for a moment, makes pipelines that load and draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline

from training import text_to_image
from training.image_pipeline import save_image_pipeline
from training.image_to_video import train_image_to_video
from training.landscapes import SIZE
from training.text import build_tokenizer
from training.text_to_image import train_text_to_image
from training.vae import train_vae
from training.video_parts import save_video_pipeline

MOMENT = 0.01
"""Seconds of processor time: one step."""


def test_both_models_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_to_image, "WARM_UP_STEPS", 1)
    vae = train_vae(tmp_path, MOMENT, bank_size=4)
    tokenizer = build_tokenizer(captions=200)
    unet, text = train_text_to_image(tokenizer, tmp_path, MOMENT, bank_size=4)
    save_image_pipeline(vae, unet, text, tokenizer, tmp_path / "image")
    video_unet, vision = train_image_to_video(tmp_path, MOMENT, scenes=2)
    save_video_pipeline(vae.float(), video_unet, vision, tmp_path / "video")

    image = StableDiffusionPipeline.from_pretrained(tmp_path / "image", torch_dtype=torch.float32)
    (picture,) = image("a red house", num_inference_steps=1).images
    assert picture.size == (SIZE, SIZE)
    video = StableVideoDiffusionPipeline.from_pretrained(
        tmp_path / "video", torch_dtype=torch.float32
    )
    (frames,) = video(
        picture, SIZE, SIZE, num_frames=2, num_inference_steps=1, output_type="np"
    ).frames
    assert np.isfinite(frames).all()
    assert frames.shape == (2, SIZE, SIZE, 3)
