"""The worker process: loads the model, takes jobs from its inbox, sends pixels back."""

from __future__ import annotations

import logging
import os
import socket
import time

from app.engine.channel import Channel
from app.engine.messages import Configure, LoadFailed, Ready
from app.errors import ModelNotLoaded
from app.garbage import made_to_stay
from app.log import configure_logging
from app.settings import Settings
from app.worker.inbox import Inbox
from app.worker.log import log_libraries, log_to, quieten_transformers
from app.worker.process import (
    keep_compiled,
    let_idle_threads_sleep,
)

logger = logging.getLogger(__name__)


def main(descriptor: int) -> int:
    """Serve the API process at the other end of a socket; the process's exit code."""
    let_idle_threads_sleep()
    import torch  # noqa: F401  # takes seconds and needs no settings, which may be late

    channel = Channel(socket.socket(fileno=descriptor))
    try:
        message, _ = channel.receive()
    except EOFError:  # the settings were unusable
        return 0
    assert isinstance(message, Configure)
    keep_compiled(message.settings.compile_cache_dir)
    configure_logging(message.settings)
    log_to(channel)
    inbox = Inbox(channel, hung_up=lambda: os._exit(0))  # whatever the main thread is doing
    inbox.listen()
    try:
        return _serve(message.settings, channel, inbox)
    except ModelNotLoaded as error:
        logger.debug("cannot load the model", exc_info=True)
        channel.send(LoadFailed(error.message))
        return 1


def _serve(settings: Settings, channel: Channel, inbox: Inbox) -> int:
    """Load the model and work until the device breaks (or, for ever)."""
    start = time.monotonic()
    if not settings.verbose_logging:
        quieten_transformers()
    log_libraries()
    with made_to_stay():
        # Imported here: diffusers and transformers take long, and the socket is heard meanwhile.
        from app.worker.loading import load_parts
        from app.worker.loop import WorkLoop

        parts = load_parts(settings)
    loop = WorkLoop(parts, channel, inbox)
    loop.warm_up(settings.pipeline, settings.warmup_sizes)
    channel.send(
        Ready(
            device=str(parts.loaded.device),
            dtype=str(parts.loaded.dtype).removeprefix("torch."),
            concurrency=loop.concurrency,
            load_seconds=time.monotonic() - start,
            accelerators=parts.loaded.active.names,
            usage=loop.usage(),
        )
    )
    return loop.run()
