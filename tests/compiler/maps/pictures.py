"""Pictures, and what Pillow makes of them: `python -m tests.compiler.maps.pictures` writes pictures.npz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

GOLDEN = Path(__file__).parent / "pictures.npz"
FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
SIZES = (((37, 53), (16, 21)), ((13, 11), (29, 30)), ((24, 18), (16, 12)), ((17, 40), (17, 9)), ((47, 18), (12, 21)))
"""Height and width before and after: much smaller, larger, a scale of exactly 1.5, one axis as it was, and what Pillow
resizes along its columns first."""


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """RGB with smooth parts, noise and hard edges, down to 0 and up to 255, where filters overshoot."""
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(height * width)
    planes = [np.sin(x / 5) * 90 + 128, (x // 4 + y // 3) % 2 * 255, y * 255 / height + rng.normal(0, 60, y.shape)]
    return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)


def name(kind: str, size: Any, out: Any) -> str:
    return f"{kind}_{size[0]}x{size[1]}_{out[0]}x{out[1]}"


def main() -> None:
    from PIL import Image

    made = {}
    for kind in FILTERS:
        for size, out in SIZES:
            image = Image.fromarray(picture(*size))
            made[name(kind, size, out)] = np.array(image.resize(out[::-1], Image.Resampling[kind.upper()]))
    np.savez_compressed(GOLDEN, **made)


if __name__ == "__main__":
    main()
