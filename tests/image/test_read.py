"""A picture file gives the pixels that people see, or one clear error; no file does harm."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from golden.preprocess import draw_picture
from hearth.errors import CorruptFile, HearthError, StorageError, Unsupported, UsageError
from hearth.image import PictureFile, identify, read_image

PICTURE = draw_picture(23, 31)


def encoded(image: Image.Image, kind: str = "PNG", **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_formats_without_loss(kind: str):
    data = encoded(Image.fromarray(PICTURE), kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert (read_image(data) == PICTURE).all()


def test_jpeg_is_what_pillow_decodes(tmp_path: Path):
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(Image.fromarray(PICTURE), "JPEG"))
    assert (read_image(path) == np.asarray(Image.open(path))).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_file_is_told_by_its_content_and_as_it_is_shown(kind: str):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(PICTURE), kind, **({"exif": exif} if kind in ("JPEG", "PNG", "WEBP") else {}))
    found = identify(data, "a.txt")
    assert found == PictureFile(f"image/{kind.lower()}", *read_image(data).shape[:2])


def test_a_camera_s_file_of_several_pictures_is_a_jpeg():
    pictures = [Image.fromarray(PICTURE), Image.fromarray(PICTURE[::2, ::2])]
    data = encoded(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    assert identify(data, "a.jpg") == PictureFile("image/jpeg", 23, 31)


@pytest.mark.parametrize("kind", ["TIFF", "PPM", "ICO"])
def test_what_browsers_do_not_show_is_not_kept(kind: str):
    with pytest.raises(Unsupported, match="can show"):
        identify(encoded(Image.fromarray(PICTURE), kind), "a.png")
    with pytest.raises(CorruptFile, match="cut short"):
        identify(encoded(Image.fromarray(draw_picture(200, 200)), "PNG")[:-1000], "a.png")


@pytest.mark.parametrize("orientation", range(9))
def test_the_camera_s_orientation_is_applied(orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(PICTURE), "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert (read_image(data) == expected).all()


def test_sixteen_bits_become_eight():
    grey = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert (read_image(encoded(Image.fromarray(grey))) == (grey >> 8)[..., None]).all()


def test_cmyk_and_grey_become_rgb():
    image = Image.fromarray(PICTURE)
    cmyk = encoded(image.convert("CMYK"), "JPEG", quality=95)
    assert np.abs(read_image(cmyk).astype(int) - PICTURE).mean() < 20
    grey = encoded(image.convert("L"))
    assert (read_image(grey) == np.asarray(image.convert("L"))[..., None]).all()
    assert read_image(encoded(image.convert("1"))).shape == PICTURE.shape


def test_palettes_become_colours():
    palette = Image.fromarray(PICTURE).convert("P")
    assert (read_image(encoded(palette)) == np.asarray(palette.convert("RGB"))).all()


def test_what_is_transparent_is_seen_on_white():
    rgba = np.dstack([PICTURE, np.full(PICTURE.shape[:2], 255, np.uint8)])
    rgba[:5, :, 3] = 0
    rgba[5:10, :, 3] = 128
    pixels = read_image(encoded(Image.fromarray(rgba)))
    assert (pixels[:5] == 255).all()
    assert (pixels[10:] == PICTURE[10:]).all()
    assert np.abs(pixels[5:10] - (PICTURE[5:10] / 2 + 127)).max() < 2


def test_of_an_animation_the_first_frame_counts():
    frames = [Image.fromarray(np.full((8, 9, 3), value, np.uint8)) for value in (10, 200)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.abs(read_image(data).astype(int) - 10).max() < 8


def test_an_array_is_taken_as_it_is_and_checked():
    assert read_image(PICTURE) is PICTURE
    with pytest.raises(UsageError, match="float32"):
        read_image(PICTURE.astype(np.float32))
    with pytest.raises(UsageError):
        read_image(PICTURE[..., :2])
    with pytest.raises(UsageError, match="Image is no picture"):
        read_image(Image.fromarray(PICTURE))  # type: ignore[arg-type]


def test_a_cut_off_file_says_so():
    for kind in ("PNG", "JPEG"):
        data = encoded(Image.fromarray(draw_picture(200, 200)), kind)
        with pytest.raises(CorruptFile, match="cut short"):
            read_image(data[: len(data) // 2], "a picture")


def png_saying(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(60_000, 60_000), (20_000, 20_000), (12_000, 12_000)])
def test_a_bomb_is_refused_before_it_is_unpacked(size: tuple[int, int]):
    with pytest.raises(CorruptFile, match="larger than any picture"):
        read_image(png_saying(*size))


def test_no_pixels_no_picture():
    with pytest.raises(HearthError):
        read_image(png_saying(0, 5))
    with pytest.raises(CorruptFile, match="empty"):
        read_image(b"")


def test_what_is_no_picture_is_told(tmp_path: Path):
    with pytest.raises(Unsupported, match="no picture that Hearth reads"):
        read_image(b"%PDF-1.7 not a picture at all")
    with pytest.raises(StorageError, match="missing"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(Unsupported, match="32-bit"):
        read_image(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


@given(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]), st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_files_give_pixels_or_an_error_of_ours(kind: str, data: st.DataObject):
    whole = bytearray(encoded(Image.fromarray(PICTURE), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = read_image(bytes(whole))
    except HearthError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
