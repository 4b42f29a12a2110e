"""Labelled pictures: read out of class folders, and shown to a model a little differently in each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tools.judge.models import SIDE

SHIFT = 3  # pixels


@dataclass(frozen=True)
class Labelled:
    """Pictures (N, 3, SIDE, SIDE) in uint8, the class of each (N,), and the names of the classes."""

    pixels: Tensor
    classes: Tensor
    names: tuple[str, ...]


def read_folder(folder: Path) -> Labelled:
    """Reads FOLDER/CLASS/PICTURE.jpg; classes and pictures in the order of their names."""
    names = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    pixels, classes = [], []
    for index, name in enumerate(names):
        for path in sorted((folder / name).iterdir()):
            with Image.open(path) as picture:
                array = np.asarray(picture.convert("RGB"))
            if array.shape != (SIDE, SIDE, 3):
                raise SystemExit(f"{path} has {array.shape[1]}x{array.shape[0]} pixels; expected {SIDE}x{SIDE}.")
            pixels.append(torch.from_numpy(array.copy()).permute(2, 0, 1))
            classes.append(index)
    if not pixels:
        raise SystemExit(f"{folder} holds no folders of pictures; README.md beside this tool says where to get them.")
    return Labelled(torch.stack(pixels), torch.tensor(classes), names)


def normalised(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 (N, 3, H, W) to what a model reads, as its preprocessor_config.json says."""
    shape = (1, 3, 1, 1)
    return (pixels.float() / 255 - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)


def varied(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """The pictures (N, 3, H, W), half of them mirrored, all shifted by up to SHIFT pixels; reflected at the edges."""
    count, _, height, width = pixels.shape
    mirrored = torch.rand(count, generator=generator) < 0.5
    pixels = torch.where(mirrored.view(-1, 1, 1, 1), pixels.flip(3), pixels)
    rows = torch.randint(-SHIFT, SHIFT + 1, (count, 1), generator=generator) + torch.arange(height)
    columns = torch.randint(-SHIFT, SHIFT + 1, (count, 1), generator=generator) + torch.arange(width)
    rows, columns = _reflected(rows, height), _reflected(columns, width)
    picture = torch.arange(count).view(-1, 1, 1)
    return pixels.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _reflected(index: Tensor, size: int) -> Tensor:
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)
