"""Reads a picture file that may be hostile: pixels as they are meant to be seen, or one clear error.

What is decided here: the orientation in the file's EXIF data is applied; of an animation the first frame counts;
what is transparent is seen on white; 16 bits become 8 by their high byte; palettes, greys, CMYK and other colour spaces
become RGB. Colour profiles are not applied. Pillow decodes, with only the formats below.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hearth.distribution import install_command
from hearth.errors import CorruptFile, StorageError, Unsupported, UsageError
from hearth.model.vision.pictures import MAX_PIXELS, MAX_SIDE

if TYPE_CHECKING:
    from PIL.Image import Image

ImageSource = str | os.PathLike[str] | bytes | NDArray[np.uint8]
"""A file, the bytes of one, or pixels u8 (h, w, 3)."""

MAX_FILE_BYTES = 256 << 20
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "ICO")
MEDIA_TYPES = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif", "BMP": "image/bmp",
    "AVIF": "image/avif",
}  # fmt: skip
"""Of the formats that every browser shows, too."""
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
_NO_WHITE = ("I", "F")
_TRANSPARENT = ("RGBA", "LA", "PA", "RGBa", "La")
_ORIENTATION = 0x0112
# EXIF's orientations as turns of an array: flipped left to right first, then quarter turns counter-clockwise.
_SIDEWAYS = (5, 6, 7, 8)
_TURNS = {2: (True, 0), 3: (False, 2), 4: (True, 2), 5: (True, 1), 6: (False, 3), 7: (True, 3), 8: (False, 1)}


def read_image(source: ImageSource, name: str = "") -> NDArray[np.uint8]:
    """Pixels u8 (height, width, 3), RGB.

    Args:
        name: what to call it in errors, where it is no file.

    Raises:
        StorageError: the file cannot be read.
        CorruptFile: it is damaged, cut short, empty, or larger than any picture is.
        Unsupported: no format that Hearth reads, or numbers that say nothing about colours.
        UsageError: an array that is no picture; Pillow is not installed.
    """
    if isinstance(source, np.ndarray):
        return _checked_pixels(source)
    if not isinstance(source, (bytes, str, os.PathLike)):
        raise UsageError(
            f"{type(source).__name__} is no picture.",
            hint="Give a file, its bytes, or an array uint8 of (height, width, 3), np.asarray(image.convert('RGB')).",
        )
    if not isinstance(source, bytes):
        name = name or os.fspath(source)
        source = _file_bytes(Path(source))
    return _decode(source, name or "The picture")


def _checked_pixels(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise UsageError(
            f"An array of {pixels.dtype} {list(pixels.shape)} is no picture.", hint="Give uint8 of (height, width, 3)."
        )
    _require_sane(pixels.shape[1], pixels.shape[0], "The array")
    return pixels


def _file_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise StorageError(f"{path} cannot be read.", why=f"{error.strerror or error}.") from error
    if len(data) > MAX_FILE_BYTES:
        raise CorruptFile(f"{path} is too large for a picture.", why=f"It has more than {MAX_FILE_BYTES:,} bytes.")
    return data


def _decode(data: bytes, name: str) -> NDArray[np.uint8]:
    with _opened(data, name) as image:
        return _oriented(_rgb(image, name), image)


@dataclass(frozen=True)
class PictureFile:
    """A picture file that was found to be sound.

    Attributes:
        media_type: as HTTP names its format: `image/jpeg`.
        height, width: in pixels, as it is meant to be seen.
    """

    media_type: str
    height: int
    width: int


def identify(data: bytes, name: str) -> PictureFile:
    """What a file is that shall be kept and shown in a browser; it is decoded whole to find out.

    Raises:
        CorruptFile, Unsupported, UsageError: as `read_image`. Unsupported: browsers do not show its format.
    """
    with _opened(data, name, tuple(MEDIA_TYPES)) as image:
        turned = _orientation(image) in _SIDEWAYS
        height, width = (image.width, image.height) if turned else (image.height, image.width)
        # The several pictures that some cameras put into one file are told apart by Pillow, not by browsers.
        return PictureFile(MEDIA_TYPES["JPEG" if image.format == "MPO" else image.format or ""], height, width)


@contextmanager
def _opened(data: bytes, name: str, known: Sequence[str] = FORMATS) -> Iterator[Image]:
    """A decoded picture; whatever its decoder says of it is one of ours."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        message = "Pictures are read with Pillow, which is not installed."
        raise UsageError(message, hint=install_command("vision")) from error
    if not data:
        raise CorruptFile(f"{name} is empty.")
    Image.init()
    formats = [kind for kind in known if kind in Image.OPEN]  # some builds of Pillow lack some
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; what is too large is decided below. Damaged EXIF data changes nothing.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=formats) as image:
                _require_sane(image.width, image.height, name)
                image.load()
                yield image
    except Image.DecompressionBombError as error:
        raise CorruptFile(f"{name} says that it is larger than any picture is.", why=f"{error}.") from error
    except UnidentifiedImageError as error:
        message = f"{name} is no picture that Hearth {'reads' if known is FORMATS else 'can show'}."
        raise Unsupported(message, hint=f"Known: {', '.join(formats)}.") from error
    except MemoryError as error:
        raise CorruptFile(f"{name} needs more memory than there is.") from error
    except (CorruptFile, Unsupported):
        raise
    except Exception as error:  # decoders of damaged files raise whatever comes to them
        raise CorruptFile(f"{name} is damaged or cut short.", why=f"{error}."[:300]) from error


def _require_sane(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise CorruptFile(f"{name} has no pixels: it says {width} x {height}.")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise CorruptFile(
            f"{name} says that it is larger than any picture is: {width:,} x {height:,} pixels.",
            why=f"More than {MAX_PIXELS:,} pixels, or {MAX_SIDE:,} on a side, are taken for an attack on the memory.",
            hint="If it is meant so, make it smaller first.",
        )


def _rgb(image: Image, name: str) -> NDArray[np.uint8]:
    """The pixels of a decoded picture, of whatever kind it is."""
    if image.mode in _SIXTEEN_BITS:
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in _NO_WHITE:
        raise Unsupported(
            f"{name} has 32-bit numbers for pixels.",
            why="Nothing says which of them is white.",
            hint="Save it with 8 or 16 bits.",
        )
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        rgba = np.asarray(image.convert("RGBA")).astype(np.uint16)
        alpha = rgba[..., 3:]
        return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.asarray(image.convert("RGB"))


def _oriented(pixels: NDArray[np.uint8], image: Image) -> NDArray[np.uint8]:
    """The pixels as the camera was held."""
    flip, turns = _TURNS.get(_orientation(image), (False, 0))
    return np.ascontiguousarray(np.rot90(pixels[:, ::-1] if flip else pixels, turns))


def _orientation(image: Image) -> int:
    """EXIF's number for how the camera was held; 0 where nothing says so."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # EXIF data is written by anybody, and a picture without it is still one
        return 0
    return orientation if isinstance(orientation, int) else 0
