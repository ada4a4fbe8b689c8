"""Every accelerator as a row: what it needs and what it excludes. Needs no torch.

A new accelerator is a row here and a function in `app.diffusion.accelerators.apply`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

ROW_BUCKETS = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Rows of a forward are filled up to one of these where each number has a CUDA graph of its own:
a third of them is filler at worst, and a graph of any number would not fit into memory."""


class Cache(StrEnum):
    """Values of CACHE: how a transformer reuses what it computed in earlier steps."""

    FIRST_BLOCK = "first-block"
    TAYLORSEER = "taylorseer"


class Quantize(StrEnum):
    """Values of QUANTIZE: the type in which the denoiser's weights are kept."""

    INT8 = "int8"
    FP8 = "fp8"
    FP8_STORAGE = "fp8-storage"


class Offload(StrEnum):
    """Values of OFFLOAD: what is kept in main memory until it is needed."""

    MODEL = "model"
    GROUP = "group"
    SEQUENTIAL = "sequential"


class Denoiser(StrEnum):
    """The two kinds of network that remove noise."""

    UNET = "unet"
    TRANSFORMER = "transformer"


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package beyond requirements.txt.

    Attributes:
        module: what is imported.
        requirements: the file that installs it, with its pin.
    """

    module: str
    requirements: str


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One accelerator.

    Attributes:
        setting: the environment variable that asks for it, with its value where only that
            value is meant: `SFAST`, `QUANTIZE=fp8`.
        denoiser: the kind of network that it works on, None for both.
        cuda: whether it needs a GPU of NVIDIA's.
        package: what has to be installed, None for nothing.
        excludes: settings that cannot be combined with it, to their reason. Said once for
            each pair.
        keeps_state: whether the denoiser belongs to one request at a time: values are carried
            from step to step, or the modules are hooked anew after each request.
        takes_loras: whether LoRA adapters still have an effect.
        records: whether it records how the denoiser computes, for all calls to come.
        moves_after: whether the weights go to the device afterwards: there may be no room for
            them as they are.
    """

    setting: str
    denoiser: Denoiser | None = None
    cuda: bool = False
    package: Package | None = None
    excludes: tuple[tuple[str, str], ...] = ()
    keeps_state: bool = False
    takes_loras: bool = True
    records: bool = False
    moves_after: bool = False

    @property
    def name(self) -> str:
        """The environment variable alone."""
        return self.setting.partition("=")[0]

    @property
    def value(self) -> str:
        """The value that is meant, empty for any."""
        return self.setting.partition("=")[2]


_OFFLOAD_EXCLUDES = (
    ("CUDA_GRAPHS", "a graph holds the weights' addresses"),
    ("SFAST", "its CUDA graphs hold the weights' addresses"),
    ("TORCH_COMPILE", "weights that move are compiled for again"),
    ("QUANTIZE", "quantised weights do not move"),
)
_TORCHAO = Package("torchao", "requirements-accelerators.txt")

CATALOGUE: tuple[Accelerator, ...] = (
    Accelerator("FUSE_QKV", takes_loras=False, moves_after=True),
    Accelerator(
        "QUANTIZE=int8",
        package=_TORCHAO,
        takes_loras=False,
        moves_after=True,
        excludes=(("SFAST", "stable-fast cannot trace quantised layers"),),
    ),
    Accelerator(
        "QUANTIZE=fp8",
        cuda=True,
        package=_TORCHAO,
        takes_loras=False,
        moves_after=True,
        excludes=(("SFAST", "stable-fast cannot trace quantised layers"),),
    ),
    Accelerator(
        "QUANTIZE=fp8-storage",
        moves_after=True,
        excludes=(
            ("SFAST", "a traced model does not run the hooks that widen the weights"),
            ("TORCH_COMPILE", "the hooks that widen the weights cannot be compiled whole"),
            ("CUDA_GRAPHS", "each pass puts the widened weights elsewhere"),
        ),
    ),
    Accelerator("ATTENTION_BACKEND", denoiser=Denoiser.TRANSFORMER),
    Accelerator("CHANNELS_LAST", denoiser=Denoiser.UNET),
    Accelerator(
        "DEEPCACHE",
        denoiser=Denoiser.UNET,
        package=Package("DeepCache", "requirements-accelerators.txt"),
        keeps_state=True,
        excludes=(("SFAST", "a traced model cannot skip blocks from step to step"),),
    ),
    Accelerator(
        "CACHE",
        denoiser=Denoiser.TRANSFORMER,
        keeps_state=True,
        excludes=(("TORCH_COMPILE", "which blocks run is decided at each step, outside of them"),),
    ),
    Accelerator("VAE_SLICING"),
    Accelerator("VAE_TILING"),
    Accelerator(
        "SFAST",
        denoiser=Denoiser.UNET,
        package=Package("sfast", "requirements-sfast.txt"),
        takes_loras=False,
        records=True,
        excludes=(
            ("TORCH_COMPILE", "both compile the same modules"),
            ("FUSE_QKV", "stable-fast rewrites the attention itself"),
            ("CHANNELS_LAST", "stable-fast chooses the memory format itself"),
        ),
    ),
    Accelerator("TORCH_COMPILE"),
    Accelerator(
        "CUDA_GRAPHS",
        cuda=True,
        takes_loras=False,
        records=True,
        excludes=(
            ("SFAST", "stable-fast has CUDA graphs of its own"),
            ("DEEPCACHE", "which blocks run is decided at each step"),
            ("CACHE", "which blocks run is decided at each step"),
        ),
    ),
    Accelerator("OFFLOAD=model", cuda=True, excludes=_OFFLOAD_EXCLUDES, keeps_state=True),
    Accelerator("OFFLOAD=group", cuda=True, excludes=_OFFLOAD_EXCLUDES),
    Accelerator("OFFLOAD=sequential", cuda=True, excludes=_OFFLOAD_EXCLUDES),
)
"""Every accelerator, in the order in which they are applied: a compiler sees all the rest."""


def requested(settings: object) -> tuple[Accelerator, ...]:
    """The rows that the settings ask for.

    Args:
        settings: has an attribute for every setting here, its name in small letters.
    """
    return tuple(row for row in CATALOGUE if _is_asked(row, settings))


def _is_asked(row: Accelerator, settings: object) -> bool:
    wanted = getattr(settings, row.name.lower())
    return wanted == row.value if row.value else bool(wanted)


def contradiction(rows: Iterable[Accelerator]) -> str:
    """Why the first pair that cannot be combined cannot, empty if all can."""
    for one, other in combinations(rows, 2):
        for row, excluded in ((one, other), (other, one)):
            for setting, reason in row.excludes:
                if excluded.name == setting:
                    return f"{row.setting} and {setting} exclude each other ({reason}): unset one"
    return ""


def lora_obstacle(settings: object) -> str:
    """The setting that keeps LoRA adapters from having an effect, empty if they work."""
    return next((row.setting for row in requested(settings) if not row.takes_loras), "")
