"""One run of `bench.py`: does what was asked for, in order, and prints as it goes."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import single
from benchmarks.baseline import PlainLoop
from benchmarks.checks import check_file, check_names, check_work
from benchmarks.compare import PLAIN, changes_of, compare, table
from benchmarks.core import Core, settings_for
from benchmarks.load import lines as load_lines
from benchmarks.load import load, mixed
from benchmarks.report import Report
from benchmarks.roof import roof
from benchmarks.work import Work, native_size

DEFAULT_STEPS = 8
"""Steps of a mixed load where none are given: it has to have some to mix."""
REQUESTS_PER_CLIENT = 4


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of `bench.py`, field by field."""

    pipeline: str
    model_id: str
    runs: int = 1
    batch_size: int = 1
    num_inference_steps: int = 0
    size: tuple[int, int] | None = None
    json: Path | None = None
    plot: Path | None = None
    compare: tuple[str, ...] = ()
    load: int = 0
    requests: int = 0
    baseline: bool = False
    roof: bool = False

    @property
    def work(self) -> Work:
        """The request to measure."""
        width, height = self.size or native_size(self.model_id)
        return Work(width, height, self.num_inference_steps, self.batch_size)

    @property
    def load_works(self) -> list[Work]:
        """The requests of the load; none without one, and beside a comparison."""
        if self.compare or not self.load:
            return []
        steps = self.num_inference_steps or DEFAULT_STEPS
        requests = self.requests or REQUESTS_PER_CLIENT * self.load
        return mixed(replace(self.work, num_inference_steps=steps), requests)


async def measure(options: Options) -> Report:
    """Measure, print, write.

    Raises:
        BadOption: what was asked for cannot be done.
        BadRequest: the service would refuse the requests.
        SettingsError: the settings cannot be used.
        ModelNotLoaded: the model cannot be loaded.
    """
    _check(options)
    report = Report(options.pipeline, options.model_id, options.work)
    if options.compare:
        report.variants = await compare(
            options.compare, options.pipeline, options.model_id, options.work, options.runs
        )
        _say_all(table(report.variants))
    else:
        await _measure_one(options, report)
    if options.json:
        report.write_json(options.json)
    if options.plot:
        report.write_plot(options.plot)
    return report


def _check(options: Options) -> None:
    """Refuse what would fail only once everything has been loaded, or measured."""
    check_names(options.compare)
    for option, path in (("--json", options.json), ("--plot", options.plot)):
        if path:
            check_file(option, path)
    for name in options.compare or (PLAIN,):
        settings = settings_for(options.pipeline, options.model_id, changes_of(name))
        for work in (options.work, *options.load_works):
            check_work(settings, work)


async def _measure_one(options: Options, report: Report) -> None:
    settings = settings_for(options.pipeline, options.model_id)
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(Core(settings))
        ready = core.ready
        report.device, report.dtype = ready.device, ready.dtype
        report.accelerators, report.load_seconds = ready.accelerators, ready.load_seconds
        single.print_about(ready, _say)
        plain = None
        if options.baseline:
            plain = await stack.enter_async_context(PlainLoop(options.pipeline, options.model_id))
        await _single(options, core, plain, report)
        single.print_aggregate(ready, report.warmups, report.runs, _say)
        if options.load:
            await _load(options, core, plain, report)
    if options.roof:
        from benchmarks import flops  # PyTorch and diffusers: seconds that only this option pays

        report.flops = flops.count(settings, options.work)
        report.roof = await roof(report.device, report.dtype)
    _say_all(report.lines())


async def _single(options: Options, core: Core, plain: PlainLoop | None, report: Report) -> None:
    """Run after run; the plain loop after each, if there is one."""
    work = options.work
    if core.settings.sfast:
        report.warmups = await single.run_all(core, work, single.SFAST_WARMUPS, _say, "warmup ")
    if plain is None:
        report.runs = await single.run_all(core, work, options.runs, _say)
        return
    await core.run(work)  # neither side's first request counts
    await plain.run(work)
    for i in range(options.runs):
        result = await single.run_once(core, work)
        single.print_run(i, work.images, result, _say)
        report.runs.append(result)
        report.baseline_seconds.append(await plain.run(work))


async def _load(options: Options, core: Core, plain: PlainLoop | None, report: Report) -> None:
    works = options.load_works
    report.load = await load(core, works, options.load)
    _say_all(["", *load_lines(report.load)])
    if plain is not None:
        report.load_baseline_seconds = sum([await plain.run(work) for work in works])


def _say(line: str) -> None:
    print(line, flush=True)


def _say_all(lines: list[str]) -> None:
    for line in lines:
        _say(line)
