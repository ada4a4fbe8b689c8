"""How the page's files are served."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.routes.page import FOLDER, read_files

BUDGET = 150_000


def test_the_page_is_served_with_a_strict_policy(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_a_known_file_is_not_sent_again(client: TestClient) -> None:
    etag = client.get("/page/main.js").headers["etag"]
    again = client.get("/page/main.js", headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_files_are_sent_compressed_to_who_understands(client: TestClient) -> None:
    packed = client.get("/page/main.js")
    plain = client.get("/page/main.js", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.text == plain.text == (FOLDER / "main.js").read_text()


@pytest.mark.parametrize("path", ["nothing.js", "../main.py", "%2e%2e/main.py", "vendor"])
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(f"/page/{path}").status_code == 404


def test_the_page_loads_nothing_from_elsewhere() -> None:
    for path in FOLDER.glob("*.*"):
        urls = re.findall(r"https?://[^\s\"'`)]+", path.read_text())
        assert {url for url in urls if "www.w3.org/" not in url} == set(), path


def test_vendored_code_comes_with_its_licence() -> None:
    notices = {path.name for path in (FOLDER / "vendor").glob("LICENSE-*.txt")}
    assert notices == {"LICENSE-preact.txt", "LICENSE-htm.txt", "LICENSE-uplot.txt"}


def test_everything_together_is_small() -> None:
    sizes = {name: len(file.gzipped) for name, file in read_files(Path(FOLDER)).items()}
    assert sum(sizes.values()) < BUDGET, sizes
