"""Writes the OpenAPI documents of the service: every pipeline's route in one file.

`runner` is the API as this service offers it; `gateway` is its public form on the Livepeer
network: without the metadata routes, with `model_id` required, and videos under `images`.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from fastapi import APIRouter, FastAPI

from app.engine.runner import Runner
from app.engine.service import LocalService
from app.jobs.services import JobServices, media_shelf
from app.media.pool import CodecPool
from app.openapi import describe
from app.pipelines import PIPELINES
from app.routes import events, generate, hardware, health, huggingface, jobs, media, openai
from app.routes.job_queue import QueueCalls
from app.settings import Settings

Document = dict[str, Any]

SERVERS = [
    {"url": "https://dream-gateway.livepeer.cloud", "description": "Livepeer Cloud gateway"},
    {"url": "https://livepeer.studio/api/beta/generate", "description": "Livepeer Studio gateway"},
]


def runner_document(version: str) -> Document:
    """The document of the runner with all pipelines and protocols."""
    app = _livepeer_app(version)
    pipelines = list(PIPELINES.values())
    app.include_router(openai.router(pipelines))
    app.include_router(huggingface.router(pipelines))
    for router in _job_routers():
        app.include_router(router)
    return describe(app) | {"servers": SERVERS}


def _job_routers() -> list[APIRouter]:
    """The routes of asynchronous jobs, of events and of media: of no pipeline in particular."""
    # Nothing here is started, and no environment is read: the document is the same everywhere.
    settings = Settings.model_construct(pipeline=next(iter(PIPELINES)), model_id="demo")
    codecs, shelf = CodecPool(), media_shelf(settings)
    runner = Runner(settings, LocalService(settings), codecs)
    services = JobServices(runner, shelf)
    own_calls = QueueCalls(services.queue, runner.backend)
    return [
        media.MediaDoor(shelf, codecs).router(),
        events.EventsDoor(runner, services.queue).router(),
        jobs.JobsDoor(runner, codecs, services.jobs, own_calls).router(),
    ]


def _livepeer_app(version: str) -> FastAPI:
    """The routes that the Livepeer network knows."""
    app = FastAPI(title="Diffusion Runner", version=version)
    app.include_router(health.router())
    app.include_router(hardware.router())
    for pipeline in sorted(PIPELINES.values(), key=lambda pipeline: pipeline.media):
        app.include_router(generate.router(pipeline))
    return app


def gateway_document(version: str) -> Document:
    """The document of the Livepeer routes, turned into that of a gateway."""
    document = describe(_livepeer_app(version)) | {"servers": SERVERS}
    generating = [pipeline.name for pipeline in PIPELINES.values()]
    document["paths"] = {f"/{name}": document["paths"][f"/{name}"] for name in generating}
    schemas = document["components"]["schemas"]
    for pipeline in PIPELINES.values():
        form = f"Body_{pipeline.operation_id}"
        schema = schemas[form if pipeline.takes_image else pipeline.params.__name__]
        schema["required"] = [*schema["required"], "model_id"]
    schemas["VideoResponse"] = copy.deepcopy(schemas["ImageResponse"]) | {"title": "VideoResponse"}
    for unused in (
        "HealthCheck",
        "Version",
        "HardwareInformation",
        "HardwareStats",
        "GPUInfo",
        "GPUStats",
    ):
        schemas.pop(unused, None)
    return document


ENTRYPOINTS: dict[str, tuple[str, Callable[[str], Document]]] = {
    "runner": ("openapi", runner_document),
    "gateway": ("gateway.openapi", gateway_document),
}


def render(document: Document, kind: str) -> str:
    """The document as text, `json` or `yaml`."""
    if kind == "yaml":
        return yaml.safe_dump(document, sort_keys=False)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the documents that the command line asks for into the current folder."""
    options = _parser().parse_args(arguments)
    for entrypoint in options.entrypoint:
        stem, build = ENTRYPOINTS[entrypoint]
        path = Path(f"{stem}.{options.type}")
        path.write_text(render(build(options.version), options.type))
        print(f"wrote {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write the service's OpenAPI documents.")
    parser.add_argument("--type", choices=("json", "yaml"), default="json")
    parser.add_argument(
        "--entrypoint", choices=tuple(ENTRYPOINTS), nargs="+", default=["runner", "gateway"]
    )
    parser.add_argument("--version", default=Settings.model_fields["version"].default)
    return parser


if __name__ == "__main__":
    main()
