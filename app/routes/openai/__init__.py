"""The OpenAI door: images, videos and models under `/v1`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from app.pipelines.base import Media, Pipeline
from app.routes.gates import below
from app.routes.not_loaded import refuse
from app.routes.openai import images, models, videos
from app.routes.openai.errors import DIALECT, PREFIX, RESPONSES
from app.settings import DoorName

__all__ = ["DIALECT", "guard", "router"]

guard = below(PREFIX)


@dataclass(frozen=True, slots=True)
class Api:
    """A part of OpenAI's API that one kind of pipeline serves.

    Attributes:
        paths: what it answers.
        serves: whether a pipeline is of that kind.
        router: its routes for such a pipeline.
    """

    paths: tuple[str, ...]
    serves: Callable[[Pipeline], bool]
    router: Callable[[Pipeline], APIRouter]


def _makes_images(pipeline: Pipeline) -> bool:
    return pipeline.media is Media.IMAGE and not pipeline.takes_image


def _edits_images(pipeline: Pipeline) -> bool:
    return pipeline.media is Media.IMAGE and pipeline.takes_image


def _makes_videos(pipeline: Pipeline) -> bool:
    return pipeline.media is Media.VIDEO


APIS = (
    Api((images.GENERATIONS,), _makes_images, images.generations),
    Api((images.EDITS,), _edits_images, images.edits),
    Api(videos.PATHS, _makes_videos, videos.router),
)


def router(pipelines: Sequence[Pipeline]) -> APIRouter:
    """Every route under `/v1`; those of pipelines that are not loaded say which one is."""
    routes = APIRouter(prefix=PREFIX, tags=[DoorName.OPENAI], responses=RESPONSES)
    routes.include_router(models.router())
    for api in APIS:
        loaded = next(filter(api.serves, pipelines), None)
        routes.include_router(api.router(loaded) if loaded else _not_loaded(api.paths))
    return routes


def _not_loaded(paths: Sequence[str]) -> APIRouter:
    routes = APIRouter()
    for path in paths:
        routes.add_api_route(
            path, refuse, methods=["GET", "POST", "DELETE"], include_in_schema=False
        )
    return routes
