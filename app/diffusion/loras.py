"""LoRA adapters of the pipeline: loaded once, kept in bounded number, switched per request."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from app.diffusion.accelerators.memory import restore_offloading
from app.diffusion.store import find_lora
from app.errors import LoraInvalid

_log = logging.getLogger(__name__)

Loras = tuple[tuple[str, float], ...]
"""Repository and weight of each adapter."""


class LoraShelf:
    """The adapters of one pipeline.

    Adapters are a state of the pipeline: requests with different ones cannot run together.
    """

    def __init__(self, pipe: Any, model_dir: Path, capacity: int) -> None:
        """Start without adapters.

        Args:
            pipe: a diffusers pipeline.
            model_dir: MODEL_DIR, where adapters are looked for.
            capacity: adapters to keep in memory; a request with more keeps all its own.
        """
        self._pipe = pipe
        self._model_dir = model_dir
        self._capacity = capacity
        self._names: OrderedDict[str, str] = OrderedDict()  # by repository, last used last
        self._active: Loras = ()
        self._numbers = count()
        self._spare_names: list[str] = []

    @property
    def loaded(self) -> tuple[str, ...]:
        """Repositories of the adapters in memory, the one unused for longest first."""
        return tuple(self._names)

    def activate(self, loras: Loras) -> None:
        """Apply exactly these adapters from the next call on; `()` gives the plain model.

        Without adapters the layers compute what they computed before any was loaded, bit for
        bit.

        Args:
            loras: (repository, weight) of each, a repository at most once.

        Raises:
            LoraInvalid: one is not on disk or does not fit the model; then none is applied.
        """
        if loras == self._active:
            return
        self._switch(on=False)
        self._active = ()
        try:
            self._apply(loras)
        except BaseException:
            self._switch(on=False)
            raise
        self._active = loras
        self._evict(keep=len(loras))

    def _apply(self, loras: Loras) -> None:
        for repo, _ in loras:
            self._load(repo)
        if loras:
            names = [self._names[repo] for repo, _ in loras]
            self._pipe.set_adapters(names, [weight for _, weight in loras])
            self._switch(on=True)

    def _load(self, repo: str) -> None:
        if repo in self._names:
            self._names.move_to_end(repo)
            return
        path = find_lora(repo, self._model_dir)
        if path is None:
            raise LoraInvalid(f"LoRA {repo} is not on this server.")
        if not hasattr(self._pipe, "load_lora_weights"):
            raise LoraInvalid("The loaded model takes no LoRA adapters.")
        name = self._new_name()
        try:
            self._pipe.load_lora_weights(
                path.parent,
                weight_name=path.name,
                adapter_name=name,
                use_safetensors=True,
                local_files_only=True,
            )
            fits = name in self._present()
        except torch.OutOfMemoryError:
            self._undo(name)
            raise
        except Exception as error:  # the libraries raise whatever misfitting weights lead them to
            self._undo(name)
            _log.info("LoRA %s does not fit", repo, exc_info=error)
            raise LoraInvalid(f"LoRA {repo} does not fit the loaded model.") from error
        if not fits:
            raise LoraInvalid(f"LoRA {repo} has no weights for the loaded model.")
        self._names[repo] = name

    def _undo(self, name: str) -> None:
        """Take back what the loading of an adapter has done before it failed."""
        self._remove(name)
        restore_offloading(self._pipe)

    def _new_name(self) -> str:
        """A name that is not in use.

        Those of removed adapters first: compiled networks are compiled anew for each name.
        """
        return self._spare_names.pop() if self._spare_names else f"lora_{next(self._numbers)}"

    def _evict(self, keep: int) -> None:
        """Unload the adapters used longest ago, but none of the last `keep`."""
        while len(self._names) > max(self._capacity, keep):
            repo, name = self._names.popitem(last=False)
            self._remove(name)
            _log.info("LoRA %s unloaded", repo)

    def _remove(self, name: str) -> None:
        """Delete an adapter's layers from wherever they are."""
        for model in self._models():
            for layer in _layers(model):
                layer.delete_adapter(name)
            getattr(model, "peft_config", {}).pop(name, None)
        self._spare_names.append(name)

    def _present(self) -> set[str]:
        return {name for names in self._pipe.get_list_adapters().values() for name in names}

    def _switch(self, on: bool) -> None:
        for model in self._models():
            for layer in _layers(model):
                layer.enable_adapters(enabled=on)

    def _models(self) -> Iterator[torch.nn.Module]:
        for component in self._pipe.components.values():
            if isinstance(component, torch.nn.Module):
                yield component


def _layers(model: torch.nn.Module) -> list[BaseTunerLayer]:
    """The layers of a model that adapters were put into."""
    return [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]
