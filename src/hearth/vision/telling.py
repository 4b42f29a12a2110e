"""What was seen in a picture, as JSON has it: the same for a terminal's pipe and for the server's clients."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from hearth.vision.results import Depth, Segmentation


def as_json(result: Any) -> dict[str, Any]:
    """A result of `Vision` for one picture: `found` (labels, boxes), `regions` with the picture's size, depths in
    three numbers, or `embedding`."""
    if isinstance(result, Segmentation):
        height, width = result.mask.shape
        regions = [
            {name: value for name, value in asdict(region).items() if value is not None} for region in result.regions
        ]
        return {"height": height, "width": width, "regions": regions}
    if isinstance(result, Depth):
        return {"metric": result.metric, **spread(result)}
    if isinstance(result, list):
        return {"found": [asdict(each) for each in result]}
    return {"embedding": result.tolist()}


def spread(depth: Depth) -> dict[str, float]:
    """The nearest or farthest, the middle and the other end."""
    least, middle, most = np.quantile(depth.values, (0, 0.5, 1)).tolist()
    return {"least": least, "median": middle, "most": most}
