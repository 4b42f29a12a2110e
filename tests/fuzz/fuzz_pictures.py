"""Picture files: each format and kind of pixels that Hearth reads, whole, cut short, changed, lying about its size."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from hearth.image.read import MAX_PIXELS, read_image

from .harness import Target, main
from .mutation import Mutator

# Format, kind of pixels, how it is saved.
_KINDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    *(("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    ("PNG", "P", {"transparency": 3}),
    ("PNG", "RGB", {"save_all": True}),
    ("JPEG", "L", {}),
    ("JPEG", "RGB", {"exif": True}),
    ("JPEG", "RGB", {"progressive": True, "subsampling": 2}),
    ("JPEG", "CMYK", {}),
    ("GIF", "P", {"save_all": True, "transparency": 0}),
    ("GIF", "L", {"interlace": 1}),
    ("WEBP", "RGB", {"quality": 40}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("WEBP", "RGB", {"save_all": True, "exif": True}),
    ("BMP", "RGB", {}),
    ("BMP", "P", {}),
    *(("TIFF", "RGB", {"compression": name}) for name in (None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg")),
    ("TIFF", "I;16", {}),
    ("TIFF", "CMYK", {}),
    ("TIFF", "F", {}),
    ("TIFF", "1", {"compression": "group4", "save_all": True}),
    ("PPM", "RGB", {}),
    ("PPM", "L", {}),
    ("ICO", "RGBA", {}),
    ("AVIF", "RGB", {}),
)


@cache
def _samples() -> tuple[bytes, ...]:
    found = []
    for kind, mode, about in _KINDS:
        if (kind == "WEBP" and not features.check("webp")) or (kind == "AVIF" and not features.check("avif")):
            continue
        pages = [_page(mode, seed) for seed in range(2)]
        options = dict(about)
        if options.get("save_all"):
            options["append_images"] = pages[1:]
        if options.pop("exif", False):
            exif = Image.Exif()
            exif[0x0112] = 6  # turned
            options["exif"] = exif.tobytes()
        file = io.BytesIO()
        pages[0].save(file, kind, **{name: value for name, value in options.items() if value is not None})
        found.append(file.getvalue())
    return tuple(found)


def _page(mode: str, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(noise.integers(0, 1 << 16, (19, 23)).astype(np.uint16))
    if mode == "F":
        return Image.fromarray(noise.random((19, 23)).astype(np.float32))
    return Image.fromarray(noise.integers(0, 256, (19, 23, 4)).astype(np.uint8)).convert(mode)


def make(mutator: Mutator) -> bytes:
    sound = mutator.choice(_samples())
    match mutator.random.randrange(8):
        case 0:
            return sound
        case 1:
            return sound[: mutator.random.randrange(len(sound))]
        case 2 if sound.startswith(b"\x89PNG"):
            return _chunks(mutator, sound)
        case 3:  # sizes stand near the beginning, whatever the format
            at = mutator.random.randrange(min(len(sound), 64))
            number = mutator.integer() & 0xFFFFFFFF
            packed = struct.pack(mutator.choice("<>") + "I", number)[mutator.choice((0, 2)) :]
            return sound[:at] + packed + sound[at + len(packed) :]
        case _:
            return mutator.bytes(sound)


def _chunks(mutator: Mutator, sound: bytes) -> bytes:
    """A PNG with a chunk changed, its checksum being right: what stands in it is looked at."""
    chunks, at = [], 8
    while at < len(sound):
        (size,) = struct.unpack(">I", sound[at : at + 4])
        chunks.append((sound[at + 4 : at + 8], sound[at + 8 : at + 8 + size]))
        at += 12 + size
    which = mutator.random.randrange(len(chunks))
    kind, body = chunks[which]
    if kind == b"IDAT" and mutator.one_in(2):  # pixels that are packed well, but other than they should be
        body = zlib.compress(mutator.bytes(zlib.decompress(body)) * mutator.choice((1, 1, 1000)))
    else:
        body = mutator.bytes(body)
    chunks[which] = (kind, body)
    if mutator.one_in(4):
        chunks.insert(which, chunks[mutator.random.randrange(len(chunks))])
    written = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    return sound[:8] + b"".join(written)


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], None]]:
    def run(content: bytes) -> None:
        pixels = read_image(content, "it")
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        assert 0 < pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS

    yield run


TARGET = Target("pictures", make, opened)

if __name__ == "__main__":
    main(TARGET)
