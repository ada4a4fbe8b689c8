"""Makes both shipped models again, from nothing: ``python -m training.make_all``.

A stopped run goes on where it was: states are kept in ``training/.work``. Delete that folder to
start over.
"""

import argparse
from pathlib import Path

import torch

from training.image_pipeline import save_image_pipeline
from training.image_to_video import train_image_to_video
from training.text import build_tokenizer
from training.text_to_image import train_text_to_image
from training.vae import train_vae
from training.video_parts import save_video_pipeline

WORK = Path("training/.work")
IMAGE_FOLDER = Path("demo/image")
VIDEO_FOLDER = Path("demo/video")
VAE_SECONDS = 500.0
IMAGE_SECONDS = 4200.0
VIDEO_SECONDS = 2600.0
"""Processor seconds, summed over threads; what the shipped models were trained for."""


def make_all(scale: float, parts: str, compiled: bool) -> None:
    """Train the models (``parts`` is "all", "image" or "video") and write their folders."""
    vae = train_vae(WORK, scale * VAE_SECONDS)
    if parts in ("all", "image"):
        tokenizer = build_tokenizer()
        seconds = scale * IMAGE_SECONDS
        unet, text_encoder = train_text_to_image(tokenizer, WORK, seconds, compiled)
        save_image_pipeline(vae, unet, text_encoder, tokenizer, IMAGE_FOLDER)
    if parts in ("all", "video"):
        video_unet, vision = train_image_to_video(WORK, scale * VIDEO_SECONDS)
        save_video_pipeline(vae.float(), video_unet, vision, VIDEO_FOLDER)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all time budgets")
    parser.add_argument("--parts", choices=("all", "image", "video"), default="all")
    parser.add_argument(
        "--compile", action="store_true", help="train the image model compiled (needs g++)"
    )
    parser.add_argument("--device", default="cpu", help="cuda: then --scale 0.1 does")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_default_device(options.device)
    make_all(options.scale, options.parts, options.compile)


if __name__ == "__main__":
    main()
