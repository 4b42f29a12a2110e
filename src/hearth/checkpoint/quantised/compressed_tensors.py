"""compressed-tensors: what llm-compressor writes, several formats under one name, also mixed in one model.

- pack-quantized: `weight_packed` i32 `(rows, columns * bits / 32)`, the middle added; `weight_shape`, `weight_scale`
  `(rows, groups)`, `weight_zero_point` i32 `(rows * bits / 32, groups)`, `weight_g_idx` `(columns)`.
- int-quantized: `weight` i8, `weight_scale` for the whole, rows or groups, `weight_zero_point` i8.
- float-quantized, mxfp8-quantized: `weight` f8, `weight_scale` for the whole, rows or blocks; u8: powers of two.
- nvfp4-pack-quantized: `weight_packed` u8, `weight_scale` f8 for each 16 columns, `weight_global_scale`, which divides.
- mxfp4-pack-quantized: `weight_packed` u8, `weight_scale` u8 for each 32 columns.

Which a weight has is told by its tensors. Source: compressed-tensors, compressors/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.floats import to_f32
from hearth.checkpoint.quantised import fp4
from hearth.checkpoint.quantised.bits import unpack_bits
from hearth.checkpoint.quantised.grouped import Integers, group_order, grouped_integers
from hearth.checkpoint.quantised.scaled import BYTES, scaled_floats
from hearth.checkpoint.quantised.scheme import Scheme
from hearth.checkpoint.quantised.weight import Stored, Weight, fits_f16

SERVING = (
    "*.input_scale", "*.input_global_scale", "*.input_zero_point", "*.output_scale", "*.output_zero_point",
    "*.k_scale", "*.v_scale", "*.q_scale", "*.k_zero_point", "*.v_zero_point",
)  # fmt: skip
_FORMATS = (
    "pack-quantized", "int-quantized", "float-quantized", "naive-quantized", "nvfp4-pack-quantized",
    "mxfp4-pack-quantized", "mxfp8-quantized", "mixed-precision", "dense",
)  # fmt: skip
_MIDDLES = {"pack-quantized": "q4", "nvfp4-pack-quantized": "nvfp4", "mxfp4-pack-quantized": "mxfp4"}


def check(scheme: Scheme) -> None:
    """Raises Unsupported for settings that are not read."""
    if scheme.settings.get("format", "dense") not in _FORMATS:
        raise scheme.unsupported("format", f"Known: {', '.join(_FORMATS)}.")
    sparsity = scheme.settings.get("sparsity_config")
    if isinstance(sparsity, Mapping) and sparsity.get("format", "dense") != "dense":
        raise scheme.unsupported("sparsity_config", "Weights with zeros left out are not read.")
    if scheme.settings.get("transform_config"):
        raise scheme.unsupported("transform_config", "Weights were turned before they were rounded.")


def weights(stored: Stored, scheme: Scheme) -> Iterator[Weight]:
    """Every weight that is stored so."""
    for name, info in stored.tensors.items():
        stem, _, last = name.rpartition(".")
        if last == "weight_packed":
            yield _packed(stored, stem) if info.dtype == "i32" else _fp4(stored, stem)
        elif last == "weight" and f"{name}_scale" in stored.tensors:
            if info.dtype in BYTES:
                yield scaled_floats(stored, name, name, f"{name}_scale", block=_block(scheme))
            elif info.dtype == "i8":
                yield _bytes(stored, stem)


def expected(scheme: Scheme) -> str:
    """The type that most weights will be shown as."""
    groups = scheme.settings.get("config_groups")
    first: Any = next(iter(groups.values()), {}) if isinstance(groups, Mapping) else {}
    how = first.get("weights") if isinstance(first, Mapping) else None
    how = how if isinstance(how, Mapping) else {}
    if how.get("type") == "int":
        if how.get("num_bits") == 8:
            return "q8" if how.get("symmetric", True) else "f32"
        return "q4" if how.get("symmetric", True) else "q5_0"
    return _MIDDLES.get(str(scheme.settings.get("format")), "f32")


def _block(scheme: Scheme) -> tuple[int, int] | None:
    """The size of blocks, where there are any: those at the edges of a weight may be cut."""
    groups = scheme.settings.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        how = group.get("weights") if isinstance(group, Mapping) else None
        block = how.get("block_structure") if isinstance(how, Mapping) else None
        if isinstance(block, list) and len(block) == 2 and all(type(n) is int and 0 < n < 1 << 24 for n in block):
            return block[0], block[1]
    return None


def _fp4(stored: Stored, stem: str) -> Weight:
    parts = tuple(f"{stem}.weight_{part}" for part in ("packed", "scale", "global_scale"))
    packed, how = stored.array(parts[0], "u8"), stored.info(parts[1], "u8", "f8_e8m0", "f8_e4m3")
    scales = stored.array(parts[1])
    if how.dtype != "f8_e4m3":
        return fp4.mxfp4(stored, f"{stem}.weight", packed, scales, parts)
    whole = stored.floats(parts[2]).reshape(-1)
    stored.require(bool(np.isfinite(whole).all() and (whole > 0).all()), parts[2], "A positive number is expected.")
    stored.require(whole.size in (1, np.prod(packed.shape[:-2], dtype=int)), parts[2], "One number is expected.")
    return fp4.nvfp4(stored, f"{stem}.weight", packed, scales, np.float32(1) / whole, parts)


def _packed(stored: Stored, stem: str) -> Weight:
    packed, said, zero = (f"{stem}.weight_{part}" for part in ("packed", "shape", "zero_point"))
    numbers = stored.array(packed, "i32")
    shape = tuple(int(size) for size in stored.array(said, "i64", "i32").reshape(-1)[:8])
    fits = len(shape) in (2, 3) and all(0 < size < 1 << 31 for size in shape) and numbers.shape[:-1] == shape[:-1]
    stored.require(fits, said, f"It belongs to integers of the shape {list(numbers.shape)}.")
    columns, words = shape[-1], numbers.reshape(-1, numbers.shape[-1])
    bits = words.shape[1] * 32 // columns
    stored.require(1 <= bits <= 8 and -(-columns * bits // 32) == words.shape[1], packed, f"Its columns: {columns}.")
    middle = np.int16(1 << bits - 1)

    def integers(begin: int, end: int) -> NDArray[np.int16]:
        return unpack_bits(words[begin:end], bits, columns).astype(np.int16) - middle

    zeros = _packed_zeros(stored, zero, shape, bits) if zero in stored.tensors else None
    label = f"compressed-tensors {bits} bits"
    return _integers(stored, stem, shape, integers, zeros, bits=bits, published=label, parts=(packed, said, zero))


def _bytes(stored: Stored, stem: str) -> Weight:
    name, zero = f"{stem}.weight", f"{stem}.weight_zero_point"
    info, numbers = stored.info(name), stored.array(name)
    stored.require(len(info.shape) == 2 and all(info.shape), name, "A matrix is expected.")
    zeros = stored.array(zero, "i8").astype(np.int16) if zero in stored.tensors else None
    zeros = None if zeros is not None and not zeros.any() else zeros  # as of symmetric ones that say so
    label = "compressed-tensors int8"
    return _integers(
        stored, stem, info.shape, lambda begin, end: numbers[begin:end], zeros, bits=8, published=label,
        parts=(name, zero),
    )  # fmt: skip


def _integers(
    stored: Stored,
    stem: str,
    shape: tuple[int, ...],
    integers: Integers,
    zeros: NDArray[np.int16] | None,
    *,
    bits: int,
    published: str,
    parts: tuple[str, ...],
) -> Weight:
    """A weight of integers around 0.

    Args:
        zeros: zero points that have to be taken off, `(rows, groups)`, or one for all.
        parts: its tensors but scales and the order of groups.
    """
    scale, index = f"{stem}.weight_scale", f"{stem}.weight_g_idx"
    how, scales = stored.info(scale, "f16", "bf16", "f32"), stored.array(scale)
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    fits = scales.size == 1 or scales.shape[:-1] == shape[:-1] or scales.shape == shape[:-1]
    stored.require(fits and scales.size > 0, scale, f"It belongs to a weight of the shape {list(shape)}.")
    scales = _of_rows(scales, rows)
    groups = scales.shape[1]
    in_turn = index not in stored.tensors
    stored.require(groups <= columns and not (in_turn and columns % groups), scale, f"{columns} columns are in groups.")
    group, order = -(-columns // groups), group_order(stored, index, columns, groups)
    highest = (1 << bits - 1) - 1
    lowest = -1 - highest
    if zeros is not None:
        stored.require(zeros.size in (1, scales.size), scale, f"The shape of its zero points is {list(zeros.shape)}.")
        of_rows = np.broadcast_to(_of_rows(zeros, rows), scales.shape)
        places, around_zero = np.arange(columns) // group if order is None else order, integers
        lowest, highest = lowest - highest, highest - lowest

        def integers(begin: int, end: int) -> NDArray[np.integer[Any]]:
            return np.asarray(around_zero(begin, end).astype(np.int16) - of_rows[begin:end][:, places])

    return grouped_integers(
        stored,
        f"{stem}.weight",
        shape,
        integers,
        lambda begin, end: to_f32(scales[begin:end], how.dtype),
        lowest=lowest,
        highest=highest,
        group=group,
        exact=fits_f16(scales, how.dtype),
        order=order,
        published=published,
        parts=(*parts, scale, index),
    )


def _of_rows(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """Numbers of groups, `(rows, groups)`; one number is that of every row."""
    return np.broadcast_to(array.reshape(1, 1), (rows, 1)) if array.size == 1 else array.reshape(rows, -1)


def _packed_zeros(stored: Stored, name: str, shape: tuple[int, ...], bits: int) -> NDArray[np.int16]:
    """Zero points of a packed weight `(rows, groups)`, which lie along its rows."""
    packed = stored.array(name, "i32")
    rows = shape[0]
    stored.require(len(shape) == 2 and packed.ndim == 2, name, "Those of a matrix are known.")
    stored.require(len(packed) == -(-rows * bits // 32), name, f"They belong to {rows} rows.")
    return unpack_bits(packed.T, bits, rows).T.astype(np.int16) - np.int16(1 << bits - 1)
