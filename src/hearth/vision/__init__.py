"""The front door for pictures: `Vision`, and what it says of them."""

from hearth.vision.results import Box, Depth, Label, Region, Segmentation
from hearth.vision.vision import Vision, VisionInfo

__all__ = ["Box", "Depth", "Label", "Region", "Segmentation", "Vision", "VisionInfo"]
