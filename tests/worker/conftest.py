"""A hub around tiny pipelines, without processes."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch
from diffusers.pipelines.wan import pipeline_wan_i2v
from PIL import Image

from app.worker.copies import Copies, StepDone
from app.worker.hub import Hub, Loras, Task
from app.worker.limits import BatchPolicy, RowLimits
from app.worker.threads import Threads
from tests.checkpoints import FAMILIES, make
from tests.checkpoints.parts import snapshot

LoadPipe = Callable[[str], Any]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to use as MODEL_DIR."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def load_pipe(models: Path) -> LoadPipe:
    """A family's tiny pipeline, loaded once; tests leave it as it is."""

    @functools.cache
    def load(family: str) -> Any:
        make(family, models)
        folder = snapshot(FAMILIES[family][0], models)
        options = {"safety_checker": None} if family in ("sd", "instruct-pix2pix") else {}
        kind = {"ltx": diffusers.LTXImageToVideoPipeline}.get(family, diffusers.DiffusionPipeline)
        pipe = kind.from_pretrained(folder, **options)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    return load


@pytest.fixture(autouse=True)
def _grad_mode() -> Iterator[None]:
    """Greenlets of a hub that is dropped half-way leave their `no_grad` late."""
    torch.set_grad_enabled(True)
    yield
    gc.collect()
    torch.set_grad_enabled(True)


@pytest.fixture(autouse=True)
def _plain_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wan mends its prompts with a package that is not needed here."""
    mender = SimpleNamespace(fix_text=lambda text: text)
    monkeypatch.setattr(pipeline_wan_i2v, "ftfy", mender, raising=False)


@dataclass
class Request:
    """A call of a pipeline.

    Attributes:
        seed: of its noise.
        arguments: of the call, the generator apart.
        loras: its adapters.
        scheduler: a class to use in place of the pipeline's.
        on_step: see `app.worker.copies.OnStep`.
        is_cancelled: see `app.worker.hub.Task`.
    """

    seed: int
    arguments: dict[str, Any]
    loras: Loras = ()
    scheduler: Any = None
    on_step: Callable[[StepDone], None] = lambda done: None
    is_cancelled: Callable[[], bool] = lambda: False

    def call(self, pipe: Any) -> torch.Tensor:
        """Floats in 0…1 that a pipeline makes of the request."""
        if self.scheduler is not None:
            pipe.scheduler = self.scheduler.from_config(pipe.scheduler.config)
        generator = torch.Generator().manual_seed(self.seed)
        return pipe(**self.arguments, generator=generator, output_type="pt")[0]


@dataclass
class Serving:
    """A hub with a pipeline. Outcomes stand in the order of their requests.

    Attributes:
        outcomes: a result or an exception for each request, None before its end.
        forwards: the row counts of the denoiser's forwards.
    """

    pipe: Any
    policy: BatchPolicy = field(default_factory=BatchPolicy)
    activate: Callable[[Loras], None] = lambda loras: None
    most_adapters: int = 100
    outcomes: list[Any] = field(default_factory=list)
    forwards: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits, threads = RowLimits(self.policy), Threads(adapt=False)
        self.hub = Hub(limits, self.activate, threads, self.most_adapters)
        self.copies = Copies(self.pipe, self.hub)

    def add(self, request: Request) -> Task:
        """Hand a request to the hub."""
        place = len(self.outcomes)
        self.outcomes.append(None)

        def body(_: Task) -> None:
            try:
                self.activate(request.loras)
                with self.copies.lend(request.loras, request.on_step) as pipe:
                    self.outcomes[place] = request.call(pipe)
            except Exception as error:
                self.outcomes[place] = error

        task = Task(body, request.loras, request.is_cancelled)
        self.hub.add(task)
        return task

    def turn(self) -> None:
        """One turn of the hub."""
        forwards, rows = self.hub.forwards, self.hub.rows
        with torch.no_grad():
            self.hub.turn()
        if self.hub.forwards > forwards:
            self.forwards.append(self.hub.rows - rows)

    def finish(self) -> list[Any]:
        """Turn until all is done; the outcomes."""
        for _ in range(10_000):
            if not len(self.hub):
                return self.outcomes
            self.turn()
        raise AssertionError("the hub does not come to an end")

    def serve(self, requests: Sequence[Request]) -> list[Any]:
        """Run requests that all arrive at once."""
        for request in requests:
            self.add(request)
        return self.finish()


def alone(pipe: Any, request: Request) -> torch.Tensor:
    """What plain diffusers makes of a request."""
    scheduler = pipe.scheduler
    try:
        return request.call(pipe)
    finally:
        pipe.scheduler = scheduler


def assert_same_images(
    pipe: Any, requests: Sequence[Request], outcomes: Sequence[Any], tolerance: float = 1e-5
) -> None:
    """Each outcome is what its request gives alone, up to rounding."""
    for request, outcome in zip(requests, outcomes, strict=True):
        assert isinstance(outcome, torch.Tensor), outcome
        torch.testing.assert_close(outcome, alone(pipe, request), rtol=0, atol=tolerance)


def picture(seed: int = 0, size: int = 32) -> Image.Image:
    """An input image of noise."""
    noise = torch.randint(0, 256, (size, size, 3), generator=torch.Generator().manual_seed(seed))
    return Image.fromarray(noise.to(torch.uint8).numpy())


def text(seed: int, steps: int = 3, **changes: Any) -> Request:
    """A request of text to image, different from others in all that may differ."""
    arguments = {
        "prompt": f"prompt {seed}",
        "negative_prompt": "blurry" if seed % 2 else "",
        "num_inference_steps": steps,
        "guidance_scale": 3.0 + seed,
        "height": 32,
        "width": 32,
    }
    return Request(seed, {**arguments, **changes})


def tied(model: Any) -> Any:
    """A model as SFAST leaves it: its calls lead to its own parts, in copies of it as well."""
    for part in (model, *model.children()):
        own = part._call_impl
        part._call_impl = lambda *args, own=own, **kwargs: own(*args, **kwargs)
    return model
