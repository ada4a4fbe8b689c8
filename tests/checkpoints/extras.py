"""What stands beside a pipeline: safety checker and LoRA adapters."""

from __future__ import annotations

from pathlib import Path

import diffusers
import torch
import transformers
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from tests.checkpoints.parts import HIDDEN, clip_text, sd_unet, snapshot, vision_config


def safety_checker(repo: str, model_dir: Path) -> None:
    config = transformers.CLIPConfig(vision_config=vision_config().to_dict(), projection_dim=HIDDEN)
    checker = StableDiffusionSafetyChecker(config)
    # Concepts in random directions: some random images are near one, some are not.
    torch.nn.init.normal_(checker.concept_embeds)
    torch.nn.init.normal_(checker.special_care_embeds)
    torch.nn.init.constant_(checker.concept_embeds_weights, 0.3)
    torch.nn.init.constant_(checker.special_care_embeds_weights, 0.3)
    checker.save_pretrained(snapshot(repo, model_dir))
    # The published file was written when the image encoder had one level more.
    path = snapshot(repo, model_dir) / "model.safetensors"
    tensors = {
        name.replace("vision_model.", "vision_model.vision_model.", 1): tensor
        for name, tensor in load_file(path).items()
    }
    save_file(tensors, path, {"format": "pt"})
    transformers.CLIPImageProcessor().save_pretrained(snapshot(repo, model_dir))


def lora(repo: str, model_dir: Path) -> None:
    """An adapter of UNet and text encoder, for the family `sd`."""
    unet, text = sd_unet(), clip_text()
    for model, targets in ((unet, ["to_q", "to_v"]), (text, ["q_proj", "v_proj"])):
        config = LoraConfig(r=2, lora_alpha=2, target_modules=targets, init_lora_weights=False)
        model.add_adapter(config)
    diffusers.StableDiffusionPipeline.save_lora_weights(
        snapshot(repo, model_dir),
        unet_lora_layers=get_peft_model_state_dict(unet),
        text_encoder_lora_layers=get_peft_model_state_dict(text),
    )
