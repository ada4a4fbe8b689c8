"""Requirements files that belong together say the same."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pins(name: str) -> dict[str, str]:
    lines = (line.strip() for line in (ROOT / name).read_text().splitlines())
    pairs = (
        line.partition("==")[::2] for line in lines if "==" in line and not line.startswith("#")
    )
    return dict(pairs)


def test_stable_fast_runs_on_the_same_packages_but_for_torch() -> None:
    usual, with_sfast = pins("requirements.txt"), pins("requirements-sfast.txt")
    assert with_sfast.pop("stable-fast-pruna") == "1.0.8"
    assert with_sfast.pop("torch").startswith("2.9.")
    usual.pop("torch")
    assert with_sfast == usual


@pytest.mark.parametrize("name", ["requirements-accelerators.txt", "requirements-sfast.txt"])
def test_every_line_is_pinned(name: str) -> None:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and line[0] != "#"]
    assert len(lines) == len(pins(name))
