"""Which arguments of a network's call hold one row per image, by the network's class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TIMESTEP = "timestep"
"""Name of the argument that may be one number for all rows or one for each."""


@dataclass(frozen=True, slots=True)
class Roles:
    """What the arguments of a call mean; those not named here must be equal to share a call.

    Attributes:
        rows: tensors, or dictionaries of tensors, whose first dimension counts rows. The first
            name is that of the tensor which is always there.
        shared: tensors that serve all rows, compared by value.
        ignored: arguments that do not change the result.
    """

    rows: tuple[str, ...]
    shared: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


DENOISERS: Mapping[str, Roles] = {
    # Stable Diffusion 1, 2 and XL, turbo, Lightning, InstructPix2Pix.
    "UNet2DConditionModel": Roles(
        ("sample", "encoder_hidden_states", "timestep_cond", "added_cond_kwargs")
    ),
    # Stable Video Diffusion: a row is a whole video.
    "UNetSpatioTemporalConditionModel": Roles(
        ("sample", "encoder_hidden_states", "added_time_ids")
    ),
    "SD3Transformer2DModel": Roles(
        ("hidden_states", "encoder_hidden_states", "pooled_projections")
    ),
    "FluxTransformer2DModel": Roles(
        ("hidden_states", "encoder_hidden_states", "pooled_projections", "guidance"),
        shared=("img_ids", "txt_ids"),
    ),
    "WanTransformer3DModel": Roles(
        ("hidden_states", "encoder_hidden_states", "encoder_hidden_states_image")
    ),
    "LTXVideoTransformer3DModel": Roles(
        ("hidden_states", "encoder_hidden_states", "encoder_attention_mask")
    ),
}
"""Denoisers that take a timestep per row and treat their rows independently of each other."""

DECODERS: Mapping[str, Roles] = {
    "AutoencoderKL": Roles(("z",), ignored=("generator",)),
    "AutoencoderTiny": Roles(("x",), ignored=("generator",)),
}
"""VAEs whose `decode` treats its rows independently; the others' calls are never divided."""
