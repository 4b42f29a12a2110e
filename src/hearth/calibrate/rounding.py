"""Matrices rounded with the activations that they meet, and biases that take up what is left of the error's mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearth.calibrate.moments import Moments
from hearth.quant.blocks import Blocks, unpack
from hearth.quant.calibrated import quantize_calibrated
from hearth.quant.formats import Format
from hearth.quant.rotation import rotate_activations, rotate_weight

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Rounded:
    """A matrix as it will be.

    Attributes:
        blocks: its numbers, rotated.
        bias: name of its bias; None: it has none, or shares it.
        shift: what the bias gains, so that products err by nothing on average: f32 `(rows,)`; None: without a bias.
    """

    blocks: Blocks
    bias: str | None
    shift: F32 | None


def round_together(
    matrices: Sequence[F32], biases: Sequence[str | None], fmt: Format, moments: Moments, rotated: int, name: str
) -> list[tuple[Rounded, F32]]:
    """Rounds matrices that multiply the same activations.

    Args:
        matrices: f32 `(rows, columns)`.
        biases: their names: of all of them, or of none. With biases only what varies of the activations has to be made
            up for by the integers, and the bias takes the rest.
        rotated: vectors of their columns that are rotated together before they are rounded (`quant/rotation.py`).
        name: for errors.

    Returns:
        Each as it is rounded, and its error: what the numbers are worth less what the matrix was.

    Raises:
        CorruptFile: a number is not finite.
    """
    biased = biases[0] is not None
    whole = np.concatenate(matrices)
    gram = moments.gram(centred=biased)
    # The matrix is symmetric, so activations, being rows on either side of their products, are rotated like this.
    gram = rotate_activations(rotate_activations(gram, rotated).T, rotated)
    blocks = quantize_calibrated(rotate_weight(whole, rotated), fmt, gram, name)
    error = rotate_activations(unpack(blocks), rotated) - whole
    shift = np.asarray(-(error @ moments.mean), np.float32)
    results, begin = [], 0
    for matrix, bias in zip(matrices, biases, strict=True):
        end = begin + len(matrix)
        rounded = Rounded(blocks.rows(begin, end), bias, shift[begin:end] if biased else None)
        results.append((rounded, error[begin:end]))
        begin = end
    return results
