"""All that one run of `bench.py` found, as lines, as JSON and as a picture."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.compare import Variant
from benchmarks.load import LoadResult
from benchmarks.plot import Bar, write_chart
from benchmarks.single import RunResult
from benchmarks.work import Work

if TYPE_CHECKING:
    from benchmarks.flops import Flops  # brings PyTorch with it

TERA = 1e12


@dataclass(slots=True)
class Report:
    """The findings; what was not asked for stays empty.

    Attributes:
        pipeline, model_id, work: what was measured.
        device, dtype, accelerators: as the worker said.
        load_seconds: until the model was ready.
        warmups, runs: single requests.
        baseline_seconds: of the plain diffusers loop, for the same requests.
        load: several clients at once.
        load_baseline_seconds: of the plain loop for all requests of the load.
        flops: arithmetic of a request.
        roof: FLOP per second of a matrix product on the device.
        variants: accelerators side by side.
    """

    pipeline: str
    model_id: str
    work: Work
    device: str = ""
    dtype: str = ""
    accelerators: tuple[str, ...] = ()
    load_seconds: float = 0.0
    warmups: list[RunResult] = field(default_factory=list)
    runs: list[RunResult] = field(default_factory=list)
    baseline_seconds: list[float] = field(default_factory=list)
    load: LoadResult | None = None
    load_baseline_seconds: float = 0.0
    flops: Flops | None = None
    roof: float = 0.0
    variants: list[Variant] = field(default_factory=list)

    @property
    def median_seconds(self) -> float:
        """Of the single requests."""
        return median(run.seconds for run in self.runs)

    def lines(self) -> list[str]:
        """What `bench.py` prints below the aggregate metrics."""
        return [*self._baseline_lines(), *self._arithmetic_lines()]

    def _baseline_lines(self) -> list[str]:
        lines = []
        if self.baseline_seconds and self.runs:
            plain = median(self.baseline_seconds)
            lines += [
                f"plain diffusers loop, median: {plain:.3f}s",
                f"served core, median: {self.median_seconds:.3f}s",
                f"served core against the plain loop: {plain / self.median_seconds:.2f}x",
            ]
        if self.load_baseline_seconds and self.load:
            ratio = self.load_baseline_seconds / self.load.seconds
            lines += [
                f"plain diffusers loop, the load's requests: {self.load_baseline_seconds:.3f}s",
                f"throughput under load against the plain loop: {ratio:.2f}x",
            ]
        return lines

    def _arithmetic_lines(self) -> list[str]:
        if self.flops is None:
            return []
        flops = self.flops
        lines = [
            f"arithmetic: denoiser {flops.sample_step / TERA:.3g} TFLOP per row and step, decoder "
            f"{flops.decode / TERA:.3g}, request {flops.job / TERA:.3g} ({flops.steps} steps)",
        ]
        if self.roof and self.runs:
            rate = flops.job / self.median_seconds
            lines.append(
                f"rate: {rate / TERA:.3g} TFLOP/s, {100 * rate / self.roof:.0f}% of the "
                f"{self.roof / TERA:.3g} TFLOP/s of a matrix product ({self.dtype}) here"
            )
        return lines

    def write_json(self, path: Path) -> None:
        """Write everything to a file."""
        machine = {"machine": platform.machine(), "python": platform.python_version()}
        path.write_text(json.dumps(asdict(self) | machine, indent=2) + "\n", "utf-8")

    def write_plot(self, path: Path) -> None:
        """Write a picture of what was measured."""
        size = f"{self.work.width}x{self.work.height}"
        subtitle = f"{self.model_id}, {size}, {self.device or platform.machine()} {self.dtype}"
        title, bars = self._bars()
        write_chart(path, title, subtitle, bars)

    def _bars(self) -> tuple[str, Sequence[Bar]]:
        if self.variants:
            working = [it for it in self.variants if not it.refusal]
            return "Speed against the first line", [
                Bar(it.name, it.ratio, f"{it.ratio:.2f} x, {it.median_seconds:.3f} s")
                for it in working
            ]
        if self.load is not None:
            return self._load_bars(self.load)
        bars = [Bar("served core", self.median_seconds, f"{self.median_seconds:.3f} s")]
        if self.baseline_seconds:
            plain = median(self.baseline_seconds)
            bars.insert(0, Bar("plain diffusers loop", plain, f"{plain:.3f} s"))
        return "Seconds per request", bars

    def _load_bars(self, load: LoadResult) -> tuple[str, list[Bar]]:
        rate = load.outputs_per_second
        bars = [Bar(f"{load.clients} clients", rate, f"{rate:.2f} /s")]
        if self.load_baseline_seconds:
            plain = rate * load.seconds / self.load_baseline_seconds
            bars.insert(0, Bar("plain diffusers loop", plain, f"{plain:.2f} /s"))
        return "Outputs per second", bars
