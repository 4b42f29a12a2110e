"""Pictures: read from files that nobody vouches for, and made into what a network wants."""

from hearth.image.config import read_preprocess
from hearth.image.preprocess import Placement, Preprocess
from hearth.image.read import ImageSource, PictureFile, identify, read_image

__all__ = ["ImageSource", "PictureFile", "Placement", "Preprocess", "identify", "read_image", "read_preprocess"]
