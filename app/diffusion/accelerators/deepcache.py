"""DEEPCACHE: a UNet whose deep blocks run in every few steps only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from app.settings import Settings


def enable(pipe: Any, settings: Settings, _device: torch.device) -> Callable[[], None]:
    """Reuse the deep features for DEEPCACHE_INTERVAL steps; returns what forgets them."""
    from DeepCache import DeepCacheSDHelper  # an extra: looked for in the catalogue's row

    class CountingHelper(DeepCacheSDHelper):  # type: ignore[misc]  # untyped
        """Counts the passes itself.

        The original looks each timestep up in the pipeline's scheduler, but here every request
        has a scheduler of its own, and the look-up waits for the GPU.
        """

        def wrap_unet_forward(self) -> None:
            forward = self.pipe.unet.forward
            self.function_dict["unet_forward"] = forward

            def counted(*args: Any, **kwargs: Any) -> Any:
                result = forward(*args, **kwargs)
                self.cur_timestep += 1
                return result

            self.pipe.unet.forward = counted

        def forget(self) -> None:
            """Begin with a full pass."""
            self.cached_output.clear()
            self.cur_timestep, self.start_timestep = 0, None

    helper = CountingHelper(pipe=pipe)
    helper.set_params(cache_interval=settings.deepcache_interval, cache_branch_id=0)
    helper.enable()
    return helper.forget
