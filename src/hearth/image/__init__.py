"""Pictures: read from files that nobody vouches for, and made into what a network wants."""

from hearth.image.config import read_preprocess
from hearth.image.preprocess import Placement, Preprocess
from hearth.image.read import ImageSource, read_image

__all__ = ["ImageSource", "Placement", "Preprocess", "read_image", "read_preprocess"]
