"""What a large image costs outside the pipeline's call: `python -m benchmarks.outside`.

A service whose worker has its image at once: the upload as it came, or a stored one for a prompt.
What is left is to read the request, decode the upload, carry the pixels to the worker and back,
encode a PNG and answer. The time is that of the client, from the first byte sent to the last one
received.
"""

from __future__ import annotations

import argparse
import functools
import io
import socket
import statistics
import sys
import time

import httpx
import uvicorn
from PIL import Image

from app.engine.channel import Channel
from app.engine.messages import Configure, Finished, Ready, Run, Started
from app.engine.service import LocalService
from app.main import create_app
from app.settings import Settings
from benchmarks.codecs import photo_like
from benchmarks.verdict import verdict
from tests.server import ServerProcess

NAME = "benchmarks.outside"
SERVE = "serve"


def worker(descriptor: int) -> None:
    """Hand uploads back, and a stored image where there is none."""
    channel = Channel(socket.socket(fileno=descriptor))
    message, _ = channel.receive()
    assert isinstance(message, Configure)
    channel.send(Ready("cpu", "float32", 1, load_seconds=0.0))
    paint = functools.cache(photo_like)
    while True:
        order, pixels = channel.receive()
        if isinstance(order, Run):
            width, height = order.inputs.size
            shape, seeds = (1, height, width, 3), order.inputs.seeds
            channel.send(Started(order.job_id))
            image = paint(height, width).data if pixels is None else pixels
            channel.send(Finished(order.job_id, shape, seeds, (False,), 0.0), image.cast("B"))


def serve() -> None:
    """The service with that worker."""
    settings = Settings.from_environment()
    app = create_app(settings, LocalService(settings, worker_command=(sys.executable, "-m", NAME)))
    uvicorn.run(app, host=settings.host, port=settings.port, access_log=False)


def upload(side: int, kind: str) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    Image.fromarray(photo_like(side, side)).save(buffer, kind)
    return buffer.getvalue()


def request_of(client: httpx.Client, side: int, kind: str | None) -> httpx.Request:
    """An image-to-image request with a file of this kind, or a text-to-image one without."""
    if kind is None:
        body = {"prompt": "as it is", "width": side, "height": side}
        return client.build_request("POST", "/text-to-image", json=body)
    data, files = {"prompt": "as it is"}, {"image": upload(side, kind)}
    return client.build_request("POST", "/image-to-image", data=data, files=files)


def measure(side: int, kind: str | None, runs: int) -> list[float]:
    """Milliseconds of each request."""
    pipeline = "image-to-image" if kind else "text-to-image"
    environment = {"PIPELINE": pipeline, "MODEL_ID": "echo", "SAFETY_CHECKER": "off"}
    times = []
    with (
        ServerProcess(environment, ("-m", NAME, SERVE)) as server,
        httpx.Client(base_url=server.wait_ready().url, timeout=60) as client,
    ):
        request = request_of(client, side, kind)
        body, headers = request.read(), request.headers  # writing it is the client's own affair
        for _ in range(runs + 3):
            start = time.perf_counter()
            answer = client.post(f"/{pipeline}", content=body, headers=headers)
            times.append(1000 * (time.perf_counter() - start))
            answer.raise_for_status()
    print(f"{pipeline}, {side}x{side}: Server-Timing: {answer.headers['Server-Timing']}")
    return times[3:]  # the first ones warm up


def main() -> None:
    """Measure and print."""
    if sys.argv[1:] == [SERVE]:
        return serve()
    if sys.argv[1:] and sys.argv[1].isdigit():
        return worker(int(sys.argv[1]))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1024, help="of the image, in pixels (1024)")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    for kind in (None, "JPEG", "PNG"):
        times = measure(options.side, kind, options.runs)
        name = f"{kind or 'prompt'} in, PNG out, in ms ({min(times):.0f} to {max(times):.0f})"
        print(verdict(name, [statistics.median(times)], 60, at_least=False))
    return None


if __name__ == "__main__":
    main()
