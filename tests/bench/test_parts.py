import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from app.engine.messages import Usage
from app.settings import Settings
from bench import main, parse
from benchmarks import flops
from benchmarks.checks import BadOption, check_file, check_names
from benchmarks.compare import changes_of
from benchmarks.load import mixed, summarise
from benchmarks.plot import Bar, chart
from benchmarks.session import Options
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


@pytest.mark.parametrize(
    ("names", "wrong", "remedy"),
    [
        (["foo"], "'FOO'", "README.md"),
        (["plain", "SFSAT"], "'SFSAT'", "did you mean SFAST?"),
        (["plain", "FUSE_QKV+QUANTISE=int8"], "'QUANTISE'", "did you mean QUANTIZE?"),
        (["Plain"], "'PLAIN'", "did you mean plain?"),
        (["plain", ""], "''", "README.md"),
    ],
)
def test_a_misspelt_setting_is_not_compared(names: list[str], wrong: str, remedy: str) -> None:
    with pytest.raises(BadOption) as refused:
        check_names(names)
    assert wrong in str(refused.value)
    assert remedy in str(refused.value)


def test_settings_that_exist_are_compared() -> None:
    check_names(["plain", "SFAST", "sfast", "QUANTIZE=int8+FUSE_QKV"])


def test_names_may_be_written_with_blanks() -> None:
    arguments = ["--pipeline", "image-to-video", "--model_id", "a/b"]
    assert parse([*arguments, "--compare", "plain, SFAST"]).compare == ("plain", "SFAST")


def test_looking_whether_a_file_can_be_written_leaves_it_as_it_is(tmp_path: Path) -> None:
    there, new = tmp_path / "there.json", tmp_path / "new.json"
    there.write_text("before")
    check_file("--json", there)
    check_file("--json", new)
    assert there.read_text() == "before"
    assert not new.exists()


@pytest.mark.parametrize("size", ["5", "0x64", "64x", "64x64x64", "a x b"])
def test_a_size_is_two_numbers(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--pipeline", "image-to-video", "--model_id", "a/b", "--size", size])
    assert re.search(r"--size: (write width and height|must be)", capsys.readouterr().err)


def test_beside_a_comparison_there_is_no_load() -> None:
    options = Options("text-to-image", "a/b", load=2)
    assert len(options.load_works) == 8
    assert not replace(options, compare=("plain",)).load_works


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--compare plain,SFSAT", r"--compare: there is no setting 'SFSAT'; did you mean SFAST\?"),
        ("--compare plain,QUANTIZE=int9", r"QUANTIZE='int9' is not valid: .*'int8'.*"),
        ("--json /none/x.json", r"--json /none/x\.json: there is no folder /none\."),
        ("--plot .", r"--plot \. cannot be written: Is a directory\."),
        ("--size 5x5", r"height: Input .* equal to 16; width: Input .* equal to 16"),
        ("--size 20x24", r"`height` and `width` have to be divisible by 8 but are 24 and 20\."),
        ("--batch_size 2000", r"num_images_per_prompt: .* less than or equal to 1000"),
        ("--load 2 --num_inference_steps 700", r"num_inference_steps is 1050; .*"),
        ("--pipeline image-to-image --size 20000x64", r"A side has at most 16376 pixels; .*"),
    ],
)
def test_what_cannot_be_measured_is_one_line_before_anything_is_loaded(
    arguments: str,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # There is no such model: what is found out too late, is refused for that.
    command = f"bench.py --pipeline text-to-image --model_id nobody/none {arguments}"
    monkeypatch.setattr("sys.argv", command.split())
    assert main() == 1
    said = capsys.readouterr()
    assert re.fullmatch(f"error: {line}\n", said.err)
    assert not said.out
