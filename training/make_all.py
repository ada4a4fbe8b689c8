"""Makes both shipped models again, from nothing: ``python -m training.make_all``.

The encoder is given, so the decoder and the two denoisers are trained at the same time, each by a
process of its own. A stopped run goes on where it was: states are kept in ``training/.work``.
Delete that folder to start over.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UNetSpatioTemporalConditionModel
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from training.image_pipeline import save_image_pipeline
from training.image_to_video import train_image_to_video
from training.text import build_tokenizer
from training.text_to_image import train_text_to_image
from training.vae import train_vae
from training.video_parts import save_video_pipeline

WORK = Path("training/.work")
IMAGE_FOLDER = Path("demo/image")
VIDEO_FOLDER = Path("demo/video")
IMAGE_SECONDS = 7000.0
DECODER_SECONDS = 1800.0
VIDEO_SECONDS = 2600.0
"""Processor seconds, summed over threads. How the shipped models were made is in their card."""
PARTS = ("image", "video", "decoder")
"""What is trained, the longest first."""


@dataclass(frozen=True)
class Recipe:
    """How the parts are trained; a part whose seconds are spent is taken from its state."""

    scale: float
    """Factor on all seconds."""
    compiled: bool
    device: str

    def decoder(self) -> AutoencoderKL:
        """Train the autoencoder that both models share."""
        return train_vae(WORK, self.scale * DECODER_SECONDS)

    def image(self) -> tuple[CLIPTokenizer, UNet2DConditionModel, CLIPTextModel]:
        """Train the image model."""
        tokenizer, seconds = build_tokenizer(), self.scale * IMAGE_SECONDS
        return tokenizer, *train_text_to_image(tokenizer, WORK, seconds, self.compiled)

    def video(self) -> tuple[UNetSpatioTemporalConditionModel, CLIPVisionModelWithProjection]:
        """Train the video model."""
        return train_image_to_video(WORK, self.scale * VIDEO_SECONDS)

    def train(self, part: str) -> None:
        """Do one of ``PARTS`` in a process that does nothing else."""
        torch.set_num_threads(1)
        torch.set_default_device(self.device)
        getattr(self, part)()


def make_all(recipe: Recipe) -> None:
    """Train all parts side by side and write the models' folders."""
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as processes:
        for done in as_completed([processes.submit(recipe.train, part) for part in PARTS]):
            done.result()
    vae = recipe.decoder()
    tokenizer, unet, text = recipe.image()
    save_image_pipeline(vae, unet, text, tokenizer, IMAGE_FOLDER)
    video_unet, vision = recipe.video()
    save_video_pipeline(vae.float(), video_unet, vision, VIDEO_FOLDER)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all time budgets")
    parser.add_argument(
        "--compile", action="store_true", help="train the image model compiled (needs g++)"
    )
    parser.add_argument("--device", default="cpu", help="cuda: then --scale 0.1 does")
    options = parser.parse_args()
    make_all(Recipe(options.scale, options.compile, options.device))


if __name__ == "__main__":
    main()
