"""Between pictures and tensors."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """Turn (n, h, w, 3) pictures into (n, 3, h, w) values from -1 to 1."""
    levels = torch.from_numpy(pictures).to(torch.get_default_device())
    return levels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_pictures(values: Tensor) -> NDArray[np.uint8]:
    """Turn (n, 3, h, w) values from -1 to 1 into (n, h, w, 3) pictures."""
    levels = (values.clamp(-1, 1) + 1) * 127.5
    return levels.round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
