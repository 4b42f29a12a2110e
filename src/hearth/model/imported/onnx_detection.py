"""ONNX operations whose results are as many as values say."""

from __future__ import annotations

from typing import Any

import numpy as np

from hearth.model.imported.detection import corners, non_max_suppression, places_that_count, turned
from hearth.model.imported.onnx_context import Context, Converter


def _non_max_suppression(c: Context) -> Any:
    def limit(index: int, default: Any) -> Any:
        return c.known(index, "limit").reshape(-1)[0].item() if c.has(index) else default

    boxes = corners(c.g, c.x(0), centred=bool(c.attr("center_point_box", 0)))
    return non_max_suppression(c.g, boxes, c.x(1), int(limit(2, 0)), float(limit(3, 0.0)), limit(4, None))


def _non_zero(c: Context) -> Any:
    known = c.g.value(c.x())
    return turned(c.g, places_that_count(c.g, c.x())) if known is None else c.g.constant(np.array(np.nonzero(known)))


DETECTION: dict[str, Converter] = {"NonMaxSuppression": _non_max_suppression, "NonZero": _non_zero}
