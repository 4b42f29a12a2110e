"""GPTQ: integers of 2, 3, 4 or 8 bits along the columns of a weight, which is stored transposed.

`qweight` i32 `(columns * bits / 32, rows)`, `qzeros` i32 `(groups, rows * bits / 32)`, `scales` `(groups, rows)`,
`g_idx` i32 `(columns)`: the group of each column, where columns were taken in the order of their activations
(`desc_act`). Files of the first form hold zero points less one. What AutoRound exports in this packing is the same.
Source: GPTQModel, nn_modules/qlinear and utils/model.py (convert_gptq_v1_to_v2_format_module).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.floats import to_f32
from hearth.checkpoint.quantised.bits import unpack_bits, unpack_columns
from hearth.checkpoint.quantised.grouped import group_order, grouped_integers
from hearth.checkpoint.quantised.scheme import Scheme
from hearth.checkpoint.quantised.weight import Stored, Weight, fits_f16

WIDTHS = (2, 3, 4, 8)
_FORMS = {"gptq": 1, "gptq_v2": 0}
"""What is added to a stored zero point, by `checkpoint_format` (or `format`)."""


def check(scheme: Scheme) -> None:
    """Raises Unsupported for settings that are not read."""
    form_of(scheme)


def form_of(scheme: Scheme) -> int:
    """What is added to a stored zero point. Raises Unsupported for an unknown form."""
    key = "checkpoint_format" if scheme.settings.get("checkpoint_format") else "format"
    form = str(scheme.settings.get(key) or "gptq")
    if form not in _FORMS:
        raise scheme.unsupported(key, f"Known: {', '.join(_FORMS)}.")
    return _FORMS[form]


def weights(stored: Stored, scheme: Scheme) -> Iterator[Weight]:
    """Every weight that is stored so; how many bits and how large groups are is told by the shapes."""
    for stem in stored.stems(".qweight"):
        yield _weight(stored, stem, form_of(scheme), symmetric=scheme.flag("sym", False))


def expected(scheme: Scheme) -> str:
    """The type that most weights will be shown as."""
    bits, symmetric = scheme.settings.get("bits"), scheme.settings.get("sym") is True
    if bits == 8:
        return "q8" if symmetric else "f32"
    return "q4" if symmetric or bits != 4 else "q5_0"


def _weight(stored: Stored, stem: str, added: int, *, symmetric: bool) -> Weight:
    parts = tuple(f"{stem}.{part}" for part in ("qweight", "qzeros", "scales", "g_idx"))
    packed, zeros = stored.array(parts[0], "i32"), stored.array(parts[1], "i32")
    how = stored.info(parts[2], "f16", "bf16", "f32")
    scales = stored.array(parts[2])
    for array, part in ((packed, parts[0]), (zeros, parts[1]), (scales, parts[2])):
        stored.require(array.ndim == 2 and all(array.shape), part, "A matrix is expected.")
    groups, rows = scales.shape
    bits = zeros.shape[1] * 32 // rows
    columns = packed.shape[0] * 32 // bits if bits else 0
    fits = packed.shape[1] == rows and len(zeros) == groups and bits in WIDTHS and 0 < groups <= columns
    fits = fits and zeros.shape[1] * 32 == rows * bits and packed.shape[0] * 32 == columns * bits
    stored.require(fits, parts[0], f"Its scales have the shape {list(scales.shape)}, its zeros {list(zeros.shape)}.")
    group = -(-columns // groups)
    order = group_order(stored, parts[3], columns, groups)
    zeros = _with_one(zeros, bits) if added and bits != 3 else zeros
    middle = 1 << bits - 1

    def integers(begin: int, end: int) -> NDArray[np.int16]:
        # Words lie along columns: a row's are below one another.
        q = unpack_bits(packed[:, begin:end].T, bits, columns).astype(np.int16)
        zero = unpack_columns(zeros, bits, begin, end)
        if added and bits == 3:
            zero = (zero + np.uint8(1)) & np.uint8(7)
        if symmetric:
            stored.require(bool((zero == middle).all()), parts[1], "The configuration says that it is symmetric.")
            return q - np.int16(middle)
        places = np.arange(columns) // group if order is None else order
        return np.asarray(q - zero.astype(np.int16)[places].T)

    highest = middle if symmetric else 0
    return grouped_integers(
        stored,
        f"{stem}.weight",
        (rows, columns),
        integers,
        lambda begin, end: to_f32(scales[:, begin:end], how.dtype).T,
        lowest=highest - (1 << bits) if symmetric else 1 - (1 << bits),
        highest=highest - 1 if symmetric else (1 << bits) - 1,
        group=group,
        exact=fits_f16(scales, how.dtype),
        order=order,
        published=f"gptq {bits} bits",
        parts=parts,
    )


def _with_one(zeros: NDArray[Any], bits: int) -> NDArray[Any]:
    """One more in each field of each word. As in the program that writes the two forms, a field that is full carries
    into the next, where taking one off had borrowed."""
    ones = sum(1 << shift for shift in range(0, 32, bits))
    return (zeros.view(np.uint32) + np.uint32(ones)).view(np.int32)
