"""Pictures of several sizes, drawn, for the rules by which models cut them up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIZES = ((30, 21), (32, 32), (45, 61), (120, 31), (64, 96))
EDGE, LONGEST = 32, 96
PATCH_SIZES = ((40, 24), (45, 61), (7, 9), (4, 130), (120, 310))  # kept, rounded, grown, longer than tall, shrunk


def draw_picture(height: int, width: int) -> NDArray[np.uint8]:
    """Waves of colours, u8 (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 19 + y / (23 + c)) * np.cos(y / (13 + 2 * c)) for c in range(3)]
    return np.rint(127.5 + 120 * np.stack(waves, -1)).astype(np.uint8)
