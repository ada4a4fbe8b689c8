"""The pipelines that can be served: one file each, found by its `PIPELINE`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.pipelines.base import Pipeline


def _find() -> Mapping[str, Pipeline]:
    modules = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
    pipelines = [module.PIPELINE for module in modules if hasattr(module, "PIPELINE")]
    return MappingProxyType({pipeline.name: pipeline for pipeline in pipelines})


PIPELINES: Mapping[str, Pipeline] = _find()
"""Every pipeline by its name, the value of the setting PIPELINE."""
