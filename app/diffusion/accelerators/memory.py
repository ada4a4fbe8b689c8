"""Less GPU memory for more time: VAE_SLICING, VAE_TILING and OFFLOAD."""

from __future__ import annotations

from typing import Any

import torch

from app.settings import Settings

BLOCKS_PER_GROUP = 1
"""Blocks that OFFLOAD=group moves at a time: the least memory; the next group is prefetched."""


def slice_vae(pipe: Any, _settings: Settings, _device: torch.device) -> None:
    """Decode the images of a batch one after another.

    Raises:
        NotImplementedError, AttributeError: the model's VAE cannot.
    """
    pipe.vae.enable_slicing()


def tile_vae(pipe: Any, _settings: Settings, _device: torch.device) -> None:
    """Decode images beyond the VAE's own size in overlapping tiles.

    Raises:
        NotImplementedError, AttributeError: the model's VAE cannot.
    """
    pipe.vae.enable_tiling()


def offload_models(pipe: Any, _settings: Settings, device: torch.device) -> None:
    """Keep one component at a time on the GPU."""
    pipe.enable_model_cpu_offload(device=device)


def offload_groups(pipe: Any, _settings: Settings, device: torch.device) -> None:
    """Keep a few blocks at a time on the GPU, the next ones on their way.

    The VAE stays there: most have no blocks that `encode` and `decode` would bring back.
    """
    pipe.enable_group_offload(
        onload_device=device,
        offload_type="block_level",
        num_blocks_per_group=BLOCKS_PER_GROUP,
        use_stream=True,
        exclude_modules=["vae"],
    )


def offload_sequentially(pipe: Any, _settings: Settings, device: torch.device) -> None:
    """Keep one layer at a time on the GPU: the least memory and the longest time."""
    pipe.enable_sequential_cpu_offload(device=device)


def free_models(pipe: Any) -> bool:
    """With OFFLOAD=model, take every part off the GPU; whether it is so."""
    if not getattr(pipe, "_all_hooks", ()):
        return False
    pipe.maybe_free_model_hooks()
    return True


def restore_offloading(pipe: Any) -> None:
    """Put the hooks of OFFLOAD=model and OFFLOAD=sequential on anew, and everything off the GPU.

    diffusers does so at the end of a call and of the loading of an adapter, but not where one
    fails. Without such hooks nothing happens.
    """
    if not free_models(pipe) and (device := getattr(pipe, "_offload_device", None)) is not None:
        pipe.enable_sequential_cpu_offload(device=device)
