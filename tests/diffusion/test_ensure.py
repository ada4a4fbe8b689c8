"""Fetching what is missing, from a Hub on the loopback interface, and saying why it fails."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest

from app.diffusion import hub as hub_module
from app.diffusion.ensure import ensure_model
from app.diffusion.store import find_model
from app.errors import ModelNotLoaded
from app.settings import Settings
from tests.checkpoints import REVISION, make, snapshot
from tests.diffusion.conftest import Fabricate

SD = "stable-diffusion-v1-5/stable-diffusion-v1-5"


class FakeHub(ThreadingHTTPServer):
    """As much of the Hub's API as its client needs, over the repositories of a cache folder."""

    daemon_threads = True

    def __init__(self, models: Path) -> None:
        super().__init__(("127.0.0.1", 0), FakeHubHandler)
        self.models = models
        self.gated: set[str] = set()
        self.fetched: set[str] = set()
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class FakeHubHandler(BaseHTTPRequestHandler):
    """`/api/models/ORG/NAME[/…]` and `/ORG/NAME/resolve/REVISION/FILE`."""

    server: FakeHub

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        self.server.tokens.add(self.headers.get("Authorization"))
        parts = path.removeprefix("api/models/").split("/")
        repo = "/".join(parts[:2])
        folder = self.server.models / ("models--" + repo.replace("/", "--"))
        if not folder.is_dir():
            return self._reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        folder = folder / "snapshots" / REVISION
        if path.startswith("api/models/"):
            return self._api(repo, parts[2:], folder)
        if repo in self.server.gated:
            return self._reply(403, b"{}", {"X-Error-Code": "GatedRepo"})
        name = "/".join(parts[4:])
        content = (folder / name).read_bytes()
        self.server.fetched.add(name)
        etag = hashlib.sha256(content).hexdigest()
        return self._reply(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": REVISION})

    do_HEAD = do_GET

    def _api(self, repo: str, rest: list[str], folder: Path) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        names = [str(path.relative_to(folder)) for path in files]
        if rest[:1] == ["tree"]:
            tree = [
                {"type": "file", "path": name, "size": path.stat().st_size, "oid": "0" * 40}
                for name, path in zip(names, files, strict=True)
            ]
            return self._reply(200, json.dumps(tree).encode(), {})
        info = {"id": repo, "sha": REVISION, "siblings": [{"rfilename": name} for name in names]}
        return self._reply(200, json.dumps(info).encode(), {})

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client reads HF_HUB_OFFLINE once, when it is imported."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub of these tests answers when the machine lets it."""
    monkeypatch.setattr(hub_module, "_ANSWER_SECONDS", 60.0)


@pytest.fixture
def hub(models: Path) -> Iterator[FakeHub]:
    """A Hub that serves what was fabricated."""
    with FakeHub(models) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """Address of a Hub that refuses connections."""
    with socket.socket() as taken:  # bound but not listening, so that nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


MakeSettings = Callable[..., Settings]


@pytest.fixture
def settings_for(tmp_path: Path) -> MakeSettings:
    """Settings with an empty MODEL_DIR."""

    def make_settings(model_id: str, **values: object) -> Settings:
        return Settings.model_validate(
            {
                "pipeline": "text-to-image",
                "model_id": model_id,
                "model_dir": tmp_path / "empty",
                **values,
            }
        )

    return make_settings


def refusal(settings: Settings, endpoint: str | None) -> str:
    """The message of a model that cannot be had, which is always one line."""
    with pytest.raises(ModelNotLoaded) as caught:
        ensure_model(settings, prefer_fp16=False, endpoint=endpoint)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_model_on_disk_asks_nobody(
    fabricate: Fabricate, models: Path, nowhere: str, settings_for: MakeSettings
) -> None:
    settings = settings_for(fabricate("sd"), model_dir=models)
    files = ensure_model(settings, prefer_fp16=True, endpoint=nowhere)
    assert files.pipeline == snapshot(SD, models)


def test_a_missing_model_is_fetched_without_pickles(
    fabricate: Fabricate, hub: FakeHub, settings_for: MakeSettings
) -> None:
    settings = settings_for(fabricate("sd-both"), hf_token="secret")
    files = ensure_model(settings, prefer_fp16=True, endpoint=hub.url)
    assert files.pipeline == find_model(settings.model_id, settings.model_dir, "text-to-image")
    assert (files.pipeline / "unet" / "diffusion_pytorch_model.fp16.safetensors").is_file()
    assert hub.tokens == {"Bearer secret"}
    assert "unet/diffusion_pytorch_model.safetensors" not in hub.fetched
    hub.fetched.clear()
    assert ensure_model(settings, prefer_fp16=True, endpoint=hub.url) == files
    assert not hub.fetched


def test_an_interrupted_download_is_completed(
    fabricate: Fabricate, hub: FakeHub, settings_for: MakeSettings
) -> None:
    settings = settings_for(fabricate("sd"))
    files = ensure_model(settings, prefer_fp16=False, endpoint=hub.url)
    weights = files.pipeline / "unet" / "diffusion_pytorch_model.safetensors"
    weights.resolve().unlink()
    weights.unlink()
    ensure_model(settings, prefer_fp16=False, endpoint=hub.url)
    assert weights.is_file()


def test_a_profile_fetches_its_base_its_unet_and_its_vae(
    fabricate: Fabricate, hub: FakeHub, settings_for: MakeSettings
) -> None:
    fabricate("lightning")
    settings = settings_for("ByteDance/SDXL-Lightning-4step")
    files = ensure_model(settings, prefer_fp16=False, endpoint=hub.url)
    assert files.unet is not None
    assert files.unet.name == "sdxl_lightning_4step_unet.safetensors"
    assert "sdxl_lightning_2step_unet.safetensors" not in hub.fetched
    assert files.pipeline.parents[1].name == "models--stabilityai--stable-diffusion-xl-base-1.0"

    settings = settings_for(fabricate("realistic-vision"))
    files = ensure_model(settings, prefer_fp16=False, endpoint=hub.url)
    assert files.vae is not None
    assert (files.vae / "diffusion_pytorch_model.safetensors").is_file()


def test_without_a_network_the_remedy_is_named(nowhere: str, settings_for: MakeSettings) -> None:
    settings = settings_for("some/model")
    message = refusal(settings, nowhere)
    for part in (
        "MODEL_ID=some/model",
        f"MODEL_DIR={settings.model_dir}",
        "the Hub cannot be reached",
        f"hf download some/model --cache-dir {settings.model_dir}",
        "dl_checkpoints.sh",
    ):
        assert part in message


def test_offline_is_named(monkeypatch: pytest.MonkeyPatch, settings_for: MakeSettings) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refusal(settings_for("some/model"), None)


def test_an_unknown_model_is_named(hub: FakeHub, settings_for: MakeSettings) -> None:
    assert "the Hub knows no some/model" in refusal(settings_for("some/model"), hub.url)


def test_a_gated_model_needs_a_licence_and_a_token(
    fabricate: Fabricate, hub: FakeHub, settings_for: MakeSettings
) -> None:
    model_id = fabricate("sd")
    hub.gated.add(model_id)
    message = refusal(settings_for(model_id), hub.url)
    assert f"accept its licence at https://huggingface.co/{model_id} and set HF_TOKEN" in message
    assert "check HF_TOKEN" in refusal(settings_for(model_id, hf_token="x"), hub.url)


def test_a_repository_that_is_no_pipeline(
    fabricate: Fabricate, hub: FakeHub, settings_for: MakeSettings
) -> None:
    message = refusal(settings_for(fabricate("lora")), hub.url)
    assert "no model_index.json" in message


def test_what_a_profile_needs_beside_the_model_is_named(
    nowhere: str, settings_for: MakeSettings, tmp_path: Path
) -> None:
    model_dir = tmp_path / "some"
    make("sdxl", model_dir)
    settings = settings_for("ByteDance/SDXL-Lightning-4step", model_dir=model_dir)
    assert "needs ByteDance/SDXL-Lightning, which is not in" in refusal(settings, nowhere)
    snapshot("ByteDance/SDXL-Lightning", model_dir)
    message = refusal(settings, nowhere)
    assert "lacks sdxl_lightning_4step_unet.safetensors" in message
    make("sd", model_dir)
    model_id = make("realistic-vision", model_dir)
    (model_dir / "models--stabilityai--sd-vae-ft-mse").rename(model_dir / "elsewhere")
    assert "needs stabilityai/sd-vae-ft-mse" in refusal(
        settings_for(model_id, model_dir=model_dir), nowhere
    )


def test_an_incomplete_model_is_named(
    fabricate: Fabricate, models: Path, nowhere: str, settings_for: MakeSettings
) -> None:
    settings = settings_for(fabricate("sd-incomplete"), model_dir=models)
    assert "lacks files of unet" in refusal(settings, nowhere)
    folder = str(snapshot(settings.model_id, models))
    assert refusal(settings_for(folder), nowhere).endswith("lacks files of unet.")


@pytest.mark.parametrize("model_id", ["/no/such/folder", "../x", "a/b/c", "a b"])
def test_what_is_neither_folder_nor_id(model_id: str, settings_for: MakeSettings) -> None:
    assert "neither a folder" in refusal(settings_for(model_id), None)


def test_a_model_dir_that_cannot_be_written(
    fabricate: Fabricate, hub: FakeHub, settings_for: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    settings = settings_for(fabricate("sd"), model_dir=tmp_path / "file")
    assert str(tmp_path / "file") in refusal(settings, hub.url)
