"""Puts the parts of the image model into an ordinary pipeline folder."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from training.text_to_image import build_scheduler


def save_image_pipeline(
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    folder: Path,
) -> None:
    """Write the pipeline under ordinary file names.

    Large weights are stored in half precision. The text encoder is not: unlike diffusers,
    transformers loads weights in the precision they were stored in, and the parts have to agree.
    """
    pipeline = StableDiffusionPipeline(
        vae=vae,
        unet=unet,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    unet.to(torch.float16)
    vae.to(torch.float16)
    pipeline.save_pretrained(folder)
