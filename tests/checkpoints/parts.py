"""Narrow and shallow networks, tokenizers and schedulers of the real architectures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import transformers

REVISION = "0123456789abcdef0123456789abcdef01234567"
"""The commit that every fabricated repository is at."""

HIDDEN = 32
"""Width of every text and image encoder."""


def snapshot(repo: str, model_dir: Path) -> Path:
    """The folder of a repository's files in the cache, made with its reference if need be."""
    cached = model_dir / ("models--" + repo.replace("/", "--"))
    folder = cached / "snapshots" / REVISION
    folder.mkdir(parents=True, exist_ok=True)
    (cached / "refs").mkdir(exist_ok=True)
    (cached / "refs" / "main").write_text(REVISION)
    return folder


def clip_tokenizer() -> Any:
    """A byte-pair tokenizer that knows single letters only."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,-'!?|"
    tokens = [letter + end for end in ("", "</w>") for letter in letters]
    vocab = {token: i for i, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    return transformers.CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)


def t5_tokenizer() -> Any:
    """A unigram tokenizer that knows single letters only."""
    letters = "▁abcdefghijklmnopqrstuvwxyz0123456789.,-'!?"
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocab = [*special, *((letter, -1.0) for letter in letters)]
    return transformers.T5TokenizerFast(vocab=vocab, extra_ids=0, model_max_length=77)


def clip_text(projection: bool = False) -> Any:
    """A CLIP text encoder of width HIDDEN."""
    tokenizer = clip_tokenizer()
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=HIDDEN,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        hidden_act="gelu",
    )
    if projection:
        return transformers.CLIPTextModelWithProjection(config)
    return transformers.CLIPTextModel(config)


def vae(**changes: Any) -> Any:
    """An AutoencoderKL that halves the sides once."""
    config = {
        "block_out_channels": (16, 32),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "latent_channels": 4,
        "norm_num_groups": 8,
        "sample_size": 32,
    }
    return diffusers.AutoencoderKL(**{**config, **changes})


def sd_unet(**changes: Any) -> Any:
    """A UNet of Stable Diffusion 1's kind."""
    config = {
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "sample_size": 16,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": HIDDEN,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    }
    return diffusers.UNet2DConditionModel(**{**config, **changes})


def sdxl_unet() -> Any:
    """A UNet of SDXL's kind."""
    return sd_unet(
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=80,  # 6 · 8 + HIDDEN
        cross_attention_dim=2 * HIDDEN,
    )


def ddim() -> Any:
    """Stable Diffusion's noise schedule."""
    return diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def t5(kind: str = "T5") -> Any:
    """An encoder of T5's kind, of width HIDDEN; `UMT5` for the multilingual one."""
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=64, d_model=HIDDEN, d_kv=8, d_ff=37, num_layers=1, num_heads=4
    )
    return getattr(transformers, f"{kind}EncoderModel")(config)


def vision_config(**changes: Any) -> Any:
    """The configuration of a CLIP image encoder for 224-pixel images."""
    return transformers.CLIPVisionConfig(
        **{
            "hidden_size": HIDDEN,
            "intermediate_size": 37,
            "projection_dim": HIDDEN,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "image_size": 224,
            "patch_size": 56,
            **changes,
        }
    )


def flow(**changes: Any) -> Any:
    """The schedule of flow-matching models."""
    return diffusers.FlowMatchEulerDiscreteScheduler(**changes)
