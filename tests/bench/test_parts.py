from xml.etree import ElementTree

import pytest

from app.engine.messages import Usage
from app.settings import Settings
from bench import parse
from benchmarks import flops
from benchmarks.compare import changes_of
from benchmarks.load import mixed, summarise
from benchmarks.plot import Bar, chart
from benchmarks.work import Work, params_of

TERA = 1e12


@pytest.mark.parametrize(
    ("model", "pipeline", "work", "step", "decode", "job"),
    [
        ("sd15", "text-to-image", Work(512, 512, 50), 0.803, 2.51, 82.8),
        ("sd-turbo", "text-to-image", Work(512, 512, 1), 0.804, 2.51, 3.3),
        ("sdxl", "text-to-image", Work(1024, 1024, 30), 6.76, 10.47, 416),
        ("sdxl-lightning", "text-to-image", Work(1024, 1024, 4), 6.76, 10.47, 37.5),
        ("svd-xt", "image-to-video", Work(1024, 576, 25), 79.9, 173.6, 4171),
    ],
)
def test_arithmetic(
    model: str, pipeline: str, work: Work, step: float, decode: float, job: float
) -> None:
    found = flops.count(Settings(pipeline=pipeline, model_id=f"random:{model}"), work)
    assert found is not None
    assert found.sample_step / TERA == pytest.approx(step, rel=0.01)
    assert found.decode / TERA == pytest.approx(decode, rel=0.01)
    assert found.job / TERA == pytest.approx(job, rel=0.01)


def test_names_become_settings() -> None:
    assert changes_of("plain") == {}
    assert changes_of("QUANTIZE=int8+FUSE_QKV") == {"quantize": "int8", "fuse_qkv": "true"}


def test_a_load_mixes_steps_and_sizes_and_is_the_same_each_time() -> None:
    works = mixed(Work(512, 512, 8), 12)
    assert works == mixed(Work(512, 512, 8), 12)
    assert {work.num_inference_steps for work in works} == {4, 6, 8, 12}
    assert {work.width for work in works} == {512, 384}
    assert len({work.seed for work in works}) == 12


def test_a_load_is_summarised_from_the_counters_before_and_after() -> None:
    usages = [Usage(forwards=10, rows=20, busy_seconds=1.0), Usage(0, 0, 30, 120, 5.0, 2)]
    result = summarise([1.0, 2.0, 3.0], 8.0, [Work(64, 64)] * 3, 2, usages)
    assert result.rows_per_forward == 5
    assert result.busy_share == 0.5
    assert result.outputs_per_second == 3 / 8
    assert (result.p50, result.compilations) == (2.0, 2)


def test_one_request_is_a_load() -> None:
    result = summarise([1.5], 1.5, [Work(64, 64)], 1, [Usage(), Usage(forwards=1, rows=2)])
    assert result.p50 == result.p99 == 1.5


def test_the_chart_is_svg_and_escapes_names() -> None:
    root = ElementTree.fromstring(
        chart("A & B", "<size>", [Bar("a<b", 1, "1 s"), Bar("c", 2, "2")])
    )
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["A & B", "<size>", "a<b", "1 s", "c", "2"]


@pytest.mark.parametrize("pipeline", ["text-to-image", "image-to-image", "image-to-video"])
def test_requests_of_every_pipeline_are_valid(pipeline: str) -> None:
    params = params_of(pipeline, Work(128, 64, 3, 2, 5))
    assert params.num_inference_steps == 3
    assert params.seed == 5
    assert not params.safety_check


def test_the_command_line_of_the_contract() -> None:
    options = parse(["--pipeline", "image-to-video", "--model_id", "a/b"])
    assert (options.runs, options.batch_size, options.num_inference_steps) == (1, 1, 0)


def test_no_runs_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--pipeline", "image-to-video", "--model_id", "a/b", "--runs", "0"])
    assert "at least 1" in capsys.readouterr().err
