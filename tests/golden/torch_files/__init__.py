"""Files as `torch.save` writes them, and the arrays in them. `make_golden.py` makes the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
FILES = ("new.pth", "old.pth", "training.pth", "parallel.pth")
"""A state dict in the archive of today and in the form from before 2020; what a training program saves, with other
things and classes of Python's; a model that was trained on several devices."""

EIGHTS, SPARSE = "eights.pth", "sparse.pth"
"""Floats of 8 bits, -6 to 5 in three rows (`weight`, and `turned` as columns); a sparse tensor."""


def arrays() -> dict[str, NDArray[np.float32]]:
    """What is in each of them; half-precision ones hold these numbers exactly."""
    base = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    return {
        "layers.0.weight": base,
        "layers.0.bias": base[0, 0, 0] - 2,
        "half": base[1, :, 0] / 8,
        "bfloat": base[0, 0] * 2,
        "last": base.transpose(0, 2, 3, 1)[:, 1:3],  # a part of another, whose elements lie apart
        "one": np.full((), 7.5, np.float32),
        "none": np.zeros((0, 3), np.float32),
    }
