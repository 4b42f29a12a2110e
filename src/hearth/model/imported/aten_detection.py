"""PyTorch's and torchvision's operators whose results are as many as values say."""

from __future__ import annotations

from typing import Any

from hearth.model.imported.aten_context import Context, Converter
from hearth.model.imported.detection import non_max_suppression, one_image, places_that_count
from hearth.model.imported.moves import part, reshape


def _nms(c: Context) -> Any:
    """torchvision's: numbers of the boxes that are kept, by falling score."""
    boxes, scores = one_image(c.g, c.x("dets"), c.x("scores"))
    n = int(c.g.shape(scores)[2])
    found = non_max_suppression(c.g, boxes, scores, n, float(c.get("iou_threshold")), None)
    return reshape(c.g, part(c.g, found, 1, 2, 3), [c.g.shape(found)[0]])


def _nonzero(c: Context) -> Any:
    return places_that_count(c.g, c.x())


DETECTION: dict[str, Converter] = {"aten.nonzero": _nonzero, "torchvision.nms.default": _nms}
