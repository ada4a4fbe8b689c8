"""From a pipeline's tensors to bytes that can be sent, without stopping the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """(…, 3, H, W) floats in 0…1 to (…, H, W, 3) uint8, rounded, on the same device."""
    scaled = images.float().mul(255).round_().clamp_(0, 255).to(torch.uint8)
    return scaled.movedim(-3, -1).contiguous()


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """A tensor that is being copied to main memory.

    Attributes:
        host: where it arrives.
        arrived: set by the device when it has; None if it is there already.
    """

    host: torch.Tensor
    arrived: torch.cuda.Event | None

    def wait(self) -> torch.Tensor:
        """The tensor in main memory."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.host


def fetch(tensor: torch.Tensor) -> OnTheWay:
    """Begin to copy a tensor to main memory, behind what the device has to do already."""
    if tensor.device.type != "cuda":
        return OnTheWay(tensor.cpu().contiguous(), None)
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    arrived = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    arrived.record()
    return OnTheWay(host, arrived)
