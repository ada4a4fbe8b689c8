"""The boundaries that the architecture rests on."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"
HEAVY = ("torch", "diffusers", "transformers")

# A module may import what stands at its own level or below it, never above. The first match counts.
LAYERS = (
    ("app.__main__", "app.serving", "app.serverless", "app.ray_backend"),
    ("app.main",),
    ("app.openapi", "app.lifecycle"),
    ("app.routes", "app.error_table", "app.request_id"),
    ("app.jobs", "app.activity", "app.metrics", "app.telemetry", "app.log_tail"),
    ("app.engine.runner", "app.engine.start"),
    ("app.engine.service", "app.engine.elsewhere"),
    ("app.engine.supervisor",),
    ("app.engine.process",),
    ("app.worker",),
    ("app.engine",),
    ("app.media", "app.hardware", "app.schemas"),
    ("app.diffusion", "app.settings", "app.log"),
    ("app.environment",),
    ("app.validation",),
    ("app.pipelines",),
    ("app.errors", "app.wording", "app.garbage", "app.signals"),
)


def imports(path: Path) -> set[str]:
    """Modules that a file imports: at its top, inside functions, or for types only."""
    tree = ast.parse(path.read_text())
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(APP.parent).with_suffix("").parts).removesuffix(".__init__")


def layer_of(module: str) -> int:
    for index, prefixes in enumerate(LAYERS):
        if any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes):
            return index
    raise AssertionError(f"{module} has no place among the layers")


def test_the_api_process_never_imports_torch() -> None:
    code = "import sys, app.main, gen_openapi; print([m for m in sys.argv[1:] if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code, *HEAVY], cwd=APP.parent, capture_output=True, text=True
    )
    assert run.stdout.strip() == "[]", run.stderr


@pytest.mark.parametrize("package", ["engine", "routes", "media", "pipelines"])
def test_no_torch_outside_the_worker(package: str) -> None:
    for path in (APP / package).rglob("*.py"):
        roots = {module.partition(".")[0] for module in imports(path)}
        assert not roots & set(HEAVY), path


def test_imports_point_one_way() -> None:
    for path in APP.rglob("*.py"):
        module = module_name(path)
        for other in imports(path):
            if module != "app" and other.startswith("app."):
                assert layer_of(other) >= layer_of(module), f"{path} imports {other}"


def test_only_the_settings_read_the_environment() -> None:
    exempt = (APP / "environment.py", APP / "worker" / "process.py")  # the latter writes it
    for path in APP.rglob("*.py"):
        if path not in exempt:
            assert "os.environ" not in path.read_text(), path
            assert "getenv" not in path.read_text(), path
