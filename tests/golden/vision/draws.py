"""Weights, pictures and texts of the golden vision models, drawn from their names: nothing of them has to be stored.

`RandomState` is the one generator of numpy whose numbers never change.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray


def draw_tensor(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A weight in f32 that f16 holds exactly, wide enough that outputs spread."""
    noise = np.asarray(np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape))
    if name.endswith("running_var"):
        values = 0.5 + np.abs(noise)
    elif "lambda" in name or "layer_scale" in name or name.endswith(("logit_scale", "logit_bias")):
        values = 0.7 + 0.2 * noise
    elif len(shape) == 1 and name.endswith(".weight"):
        values = 1.0 + 0.3 * noise
    elif len(shape) <= 1:
        values = 0.3 * noise
    elif "embed" in name or "token" in name or "probe" in name:
        values = 0.5 * noise
    else:
        values = 1.3 * noise / np.sqrt(np.prod(shape[1:]))
    return np.asarray(values, np.float16).astype(np.float32)


def draw_pixels(name: str, batch: int, height: int, width: int) -> NDArray[np.float32]:
    """(batch, height, width, 3), as a network gets them: about 0, about 1 wide."""
    seed = np.random.RandomState(zlib.crc32(name.encode()) + 1)
    return seed.standard_normal((batch, height, width, 3)).astype(np.float32)
