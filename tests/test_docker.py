"""The Dockerfiles: what a build and a run would do, as far as that shows without an engine."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from app.settings import Settings
from tests.server import ROOT

FILES = ("Dockerfile", "Dockerfile.runpod")
SECRET = re.compile(r"TOKEN|PASSWORD|SECRET|API_KEY", re.IGNORECASE)


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, its continued lines joined."""

    name: str
    arguments: str


def instructions(file: str) -> list[Instruction]:
    """All of a Dockerfile's instructions."""
    text = "\n".join(
        line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#")
    )
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [Instruction(*line.split(None, 1)) for line in lines]


def named(file: str, name: str) -> list[str]:
    """The arguments of all instructions of one name."""
    return [item.arguments for item in instructions(file) if item.name == name]


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest) -> str:
    """Each Dockerfile in turn."""
    return request.param


def test_hadolint_has_nothing_to_say(file: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([hadolint, ROOT / file], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_bases_are_pinned(file: str) -> None:
    bases = [arguments.split(" AS ")[0] for arguments in named(file, "FROM")]
    assert bases
    assert all(re.search(r":\d+\.\d+\.\d+", base) for base in bases), bases
    assert bases[-1].startswith("nvidia/cuda:")


def test_the_process_is_no_root_and_hears_signals(file: str) -> None:
    last_user = named(file, "USER")[-1]
    assert last_user.isdecimal()
    assert last_user != "0"
    (command,) = named(file, "CMD")[-1:]
    program, *arguments = json.loads(command)
    assert program == "python"
    target = arguments[1] if arguments[0] == "-m" else arguments[0]
    assert (ROOT / target).exists()


def test_no_secret_stays_in_a_layer(file: str) -> None:
    """A token comes as a secret of the build, which no layer keeps."""
    for name in ("ARG", "ENV"):
        assert not any(SECRET.search(arguments) for arguments in named(file, name))


def copied(file: str) -> list[str]:
    """Sources of COPY that come from the build's context."""
    sources = []
    for arguments in named(file, "COPY"):
        words = [word for word in shlex.split(arguments) if not word.startswith("--")]
        if "--from=" not in arguments:
            sources += words[:-1]
    return sources


def test_what_is_copied_is_there_and_not_ignored(file: str) -> None:
    allowed = [line[1:] for line in ignore_lines() if line.startswith("!")]
    for source in copied(file):
        assert list(ROOT.glob(source)), source
        assert any(source == name or fnmatch(source, name) for name in allowed), source


def test_everything_else_stays_out_of_the_context() -> None:
    lines = ignore_lines()
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == {
        *(source for file in FILES for source in copied(file) if "requirements" not in source),
        "requirements*.txt",
    }


def ignore_lines() -> list[str]:
    """The lines of .dockerignore that say something."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_packages_come_before_the_code(file: str) -> None:
    """So that a change of the code does not install torch again."""
    order = [f"{item.name} {item.arguments}" for item in instructions(file)]
    install = next(i for i, text in enumerate(order) if "uv pip install" in text)
    code = next(i for i, text in enumerate(order) if text.startswith("COPY app"))
    assert install < code


def test_settings_of_the_image_exist(file: str) -> None:
    own = {"PATH", "VIRTUAL_ENV", "PYTHONUNBUFFERED"}
    for arguments in named(file, "ENV"):
        for name in (word.partition("=")[0] for word in shlex.split(arguments)):
            known = name in own or name.startswith(("UV_", "RUNPOD_"))
            assert known or name.lower() in Settings.model_fields, name


def test_runs_of_python_are_modules_that_exist(file: str) -> None:
    for module in re.findall(r"python -m (app[\w.]*)", "\n".join(named(file, "RUN"))):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists()


@pytest.mark.parametrize("extra", ["", "requirements-accelerators.txt"])
def test_extra_packages_are_installed_with_the_others(tmp_path: Path, extra: str) -> None:
    """The step of the build runs here, with a stand-in for uv that records its arguments."""
    record = tmp_path / "arguments"
    (tmp_path / "uv").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {record}\n')
    (tmp_path / "uv").chmod(0o755)
    (step,) = [text for text in named("Dockerfile", "RUN") if "uv pip install" in text]
    arguments = {"REQUIREMENTS": "requirements.txt", "EXTRA_REQUIREMENTS": extra}
    script = step.split(None, 1)[1]  # after --mount
    subprocess.run(
        ["sh", "-ec", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"} | arguments, check=True
    )

    files = ["requirements.txt", *([extra] if extra else [])]
    expected = ["pip", "install"]
    for name in files:
        expected += ["-r", f"/tmp/requirements/{name}"]
        assert (ROOT / name).is_file()
    assert record.read_text().splitlines() == expected


@pytest.mark.parametrize("status", [200, 503])
def test_the_health_check_follows_health(status: int) -> None:
    command = json.loads(named("Dockerfile", "HEALTHCHECK")[0].split("CMD ", 1)[1])

    class Health(BaseHTTPRequestHandler):
        """Answers /health with the status."""

        def do_GET(self) -> None:
            """Answer."""
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        Thread(target=server.handle_request, daemon=True).start()
        assert command[0] == "python"
        ast.parse(command[2])
        port = str(server.server_address[1])
        check = subprocess.run(
            [sys.executable, *command[1:]], env={"PORT": port}, check=False, capture_output=True
        )
    assert (check.returncode == 0) == (status == 200)


@pytest.mark.parametrize("name", ["requirements-runpod.txt", "requirements-sfast.txt"])
def test_what_stands_in_for_the_requirements_is_complete(name: str) -> None:
    assert packages("requirements.txt") <= packages(name)


def packages(name: str) -> set[str]:
    """Names of the packages that a file of requirements asks for, itself or through others."""
    found: set[str] = set()
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("-r "):
            found |= packages(line[3:].strip())
        elif line and not line.startswith("#"):
            found.add(re.split(r"[=~<>\[ ]", line)[0].lower())
    return found


def test_the_tree_that_an_image_holds_can_start(tmp_path: Path) -> None:
    """The copied files are enough: nothing of the checkout beside them is imported."""
    for source in copied("Dockerfile"):
        for path in ROOT.glob(source):
            copy = shutil.copytree if path.is_dir() else shutil.copy
            if path.name not in ("demo",):
                copy(path, tmp_path / path.name)
    environment = {"MODEL_ID": "demo", "PIPELINE": "none", "PYTHONPATH": str(tmp_path)}

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )

    start = python("-m", "app")
    assert start.stderr.startswith("error: PIPELINE='none' is not valid"), start.stderr
    assert start.returncode == 1
    bench = python("bench.py", "-h")
    assert bench.stdout.startswith("usage: bench.py"), bench.stderr
