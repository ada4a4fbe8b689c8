"""Puts the worker's parts together."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from app.diffusion.accelerators.denoiser import is_changed_by_calls
from app.diffusion.devices import is_gpu
from app.diffusion.loading import LoadedPipeline, load
from app.diffusion.loras import LoraShelf
from app.diffusion.safety import SafetyChecker, checker_device
from app.diffusion.store import safety_checker_path
from app.settings import SafetyCheckerMode, Settings
from app.worker import limits
from app.worker.copies import Copies
from app.worker.generation import Generator
from app.worker.hub import Hub
from app.worker.limits import BatchPolicy, RowLimits
from app.worker.threads import Threads

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the work loop works with."""

    loaded: LoadedPipeline
    limits: RowLimits
    hub: Hub
    generator: Generator
    safety: SafetyChecker | None


def load_parts(settings: Settings) -> Parts:
    """Load the model of the settings and what belongs to it.

    Raises:
        ModelNotLoaded: why it cannot be loaded.
    """
    return assemble(load(settings), settings)


def assemble(loaded: LoadedPipeline, settings: Settings) -> Parts:
    """Put the parts around a loaded model."""
    shelf = LoraShelf(loaded.pipe, settings.model_dir, settings.lora_cache)
    rows = RowLimits(policy_for(loaded, settings.max_batch_rows))
    # Compiled networks choose for themselves, and must not be looked into.
    threads = Threads(adapt=loaded.device.type == "cpu" and not loaded.active.names)
    hub = Hub(rows, shelf.activate, threads, settings.lora_cache)
    copies = Copies(loaded.pipe, hub if rows.policy.merge else None)
    generator = Generator(loaded, shelf, copies)
    return Parts(loaded, rows, hub, generator, _safety_checker(settings, loaded))


def policy_for(loaded: LoadedPipeline, max_rows: int | None) -> BatchPolicy:
    """What may share a call with this model, its accelerators and its device.

    Args:
        loaded: the model.
        max_rows: MAX_BATCH_ROWS.
    """
    gpu = is_gpu(loaded.device)
    if reason := _turns_because(loaded):
        logger.warning("requests take turns: %s", reason)
    return BatchPolicy(
        merge=not reason,
        max_rows=max_rows,
        buckets=loaded.active.buckets,
        useful_elements=limits.USEFUL_ON_GPU if gpu else limits.USEFUL_ON_CPU,
        decoded=limits.DECODED_ON_GPU if gpu else limits.DECODED_ON_CPU,
    )


def _turns_because(loaded: LoadedPipeline) -> str:
    """Why requests cannot share the denoiser's forwards; empty if they can."""
    if loaded.active.keeps_state:
        return f"values are kept from step to step with {', '.join(loaded.active.names)}"
    if is_changed_by_calls(loaded.pipe):
        return f"a call of {type(loaded.pipe).__name__} changes its denoiser"
    return ""


def _safety_checker(settings: Settings, loaded: LoadedPipeline) -> SafetyChecker | None:
    """The checker, None where it is switched off or not on disk."""
    if settings.safety_checker is SafetyCheckerMode.OFF:
        return None
    device = checker_device(settings, loaded.device)
    folder = safety_checker_path(settings.model_dir, loaded.folder)
    return None if folder is None else SafetyChecker(folder, device)
