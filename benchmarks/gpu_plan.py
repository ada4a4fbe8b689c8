"""What is measured on a GPU, the most wanted first; `benchmarks.on_gpu` does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.compare import changes_of

GRAPHS = "CUDA_GRAPHS"
UNET = (GRAPHS, f"{GRAPHS}+CHANNELS_LAST", f"{GRAPHS}+CHANNELS_LAST+FUSE_QKV")
TRANSFORMER = (GRAPHS, f"{GRAPHS}+FUSE_QKV")
VIDEO = ("CHANNELS_LAST", f"{GRAPHS}+CHANNELS_LAST")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One process.

    Attributes:
        name: what the results call it.
        seconds: that it takes, estimated; it is ended after twice as many.
        command: behind `python`.
        environment: settings of the service.
    """

    name: str
    seconds: float
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """A model and what is compared on it.

    Attributes:
        model_id: of it.
        variants: settings to compare with the plain model; loads are measured with the last.
        seconds: that a comparison takes, and a load, estimated.
        options: of `bench.py`, for single requests.
        loads: clients at once.
        environment: settings of the service for all of them.
    """

    model_id: str
    variants: tuple[str, ...]
    seconds: float
    options: tuple[str, ...] = ()
    pipeline: str = "text-to-image"
    loads: tuple[int, ...] = (1, 4, 16)
    environment: tuple[tuple[str, str], ...] = (("BFLOAT16", "true"),)

    @property
    def name(self) -> str:
        """The last part of its id."""
        return self.model_id.rpartition("/")[2].removeprefix("random:")

    def compared(self) -> Measurement:
        """The settings side by side."""
        return self._compared("settings", self.seconds, self.variants)

    def compiled(self) -> Measurement:
        """What compiling gains, which takes its time."""
        variants = ("TORCH_COMPILE", f"{self.variants[-1]}+TORCH_COMPILE")
        return self._compared("compiled", 3 * self.seconds, variants)

    def loaded(self) -> Iterator[Measurement]:
        """Clients at once, against the plain diffusers loop."""
        changes = changes_of(self.variants[-1])
        settings = tuple((name.upper(), value) for name, value in changes.items())
        environment = (*self.environment, *settings)
        for clients in self.loads:
            more = ("--load", str(clients), "--baseline", "--roof")
            yield Measurement(
                f"{self.name} load {clients}", self.seconds, self._bench(*more), environment
            )

    def _compared(self, what: str, seconds: float, variants: tuple[str, ...]) -> Measurement:
        names = ",".join(("plain", *variants))
        command = self._bench("--compare", names)
        return Measurement(f"{self.name} {what}", seconds, command, self.environment)

    def _bench(self, *more: str) -> tuple[str, ...]:
        model = ("--pipeline", self.pipeline, "--model_id", self.model_id)
        return ("bench.py", *model, *self.options, "--runs", "5", *more)


TESTS = Measurement("tests", 120, ("-m", "pytest", "tests/accelerators/test_on_gpu.py"))

FULL = (
    Model("random:sd-turbo", UNET, 75, ("--num_inference_steps", "1")),
    Model("random:sdxl-lightning", UNET, 110),
    Model("random:sd15", UNET, 90),
    Model("random:sdxl", UNET, 120),
    Model("random:flux-schnell", TRANSFORMER, 180),
    Model("random:svd-xt", VIDEO, 240, pipeline="image-to-video", loads=()),
)


def plan(models: Sequence[Model]) -> list[Measurement]:
    """All there is to do, in this order: the first model's loads come before the others."""
    first, *others = models
    return [
        TESTS,
        first.compared(),
        *first.loaded(),
        *(it.compared() for it in others),
        *(load for it in others for load in it.loaded()),
        *(it.compiled() for it in models),
    ]
