"""MLX: integers of 2 to 8 bits in words of 32 along a row, `scales` and `biases` for groups of columns, also floats.

A number is worth `q * scale + bias`. Of up to 4 bits that is our `q4a`, of 5 `q5_1`, if scales and biases are f16
numbers; else it becomes f32. How many bits and how wide groups are is said for all, and for single modules by their
names. Modes mxfp4, nvfp4 and mxfp8 have no biases, and bytes for scales. MLX stacks the matrices of experts in one
tensor (`switch_mlp`); they are shown one by one. Source: mlx.core.quantize and dequantize; mlx-lm, utils.py and
models/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.floats import to_f32
from hearth.checkpoint.quantised import fp4
from hearth.checkpoint.quantised.bits import unpack_bits
from hearth.checkpoint.quantised.grouped import GROUP
from hearth.checkpoint.quantised.scheme import Scheme
from hearth.checkpoint.quantised.weight import Stored, Weight, fits_f16
from hearth.checkpoint.types import RowReader
from hearth.errors import Unsupported

_BITS = (2, 3, 4, 5, 6, 8)
_MODES = {"mxfp4": (4, 32), "nvfp4": (4, 16), "mxfp8": (8, 32)}
"""Bits and columns of a group of each mode but `affine`."""
# Families whose norms or convolutions MLX rewrites when it loads them, and saves so.
_REWRITTEN = ("qwen3_next", "qwen3_5*")
# What single experts are called, by the module that MLX stacks them in.
_EXPERTS: Mapping[str, Mapping[str, str]] = {
    ".mlp.switch_mlp.": {
        f"{part}_proj": f".mlp.experts.{{}}.{part}_proj.weight" for part in ("gate", "up", "down")
    },
    ".block_sparse_moe.switch_mlp.": {
        part: f".block_sparse_moe.experts.{{}}.{name}.weight"
        for part, name in (("gate_proj", "w1"), ("up_proj", "w3"), ("down_proj", "w2"))
    },
}  # fmt: skip


def check(scheme: Scheme) -> None:
    """Raises Unsupported for settings that are not read."""
    model_type = str(scheme.model.get("model_type", ""))
    if any(fnmatchcase(model_type, pattern) for pattern in _REWRITTEN):
        raise Unsupported(
            f"Models of the type {model_type[:40]!r} are not read in MLX's form.",
            why="MLX saves their norms and convolutions otherwise than their authors, and does not say so.",
            hint="Look for the same model as its authors published it, or as a GGUF file.",
        )
    _widths(scheme, "")


def weights(stored: Stored, scheme: Scheme) -> Iterator[Weight]:
    """Every weight that is stored so; of stacked ones each matrix."""
    for stem in stored.stems(".scales"):
        yield from _each_expert(_weight(stored, stem, *_widths(scheme, stem)))


def expected(scheme: Scheme) -> str:
    """The type that most weights will be shown as."""
    mode, bits, _ = _widths(scheme, "")
    return {"mxfp4": "mxfp4", "nvfp4": "nvfp4"}.get(mode) or _affine_type(bits) or "f32"


def _widths(scheme: Scheme, stem: str) -> tuple[str, int, int]:
    """Mode, bits and columns of a group of a module's weight."""
    own = scheme.settings.get(stem)
    settings = {**scheme.settings, **own} if isinstance(own, Mapping) else scheme.settings
    module = replace(scheme, settings=settings)
    mode = str(settings.get("mode") or "affine")
    if mode in _MODES:
        return mode, *_MODES[mode]
    if mode != "affine":
        raise module.unsupported("mode", f"Known: affine, {', '.join(_MODES)}.")
    bits, group = module.count("bits", 4), module.count("group_size", 64)
    if bits not in _BITS:
        raise module.unsupported("bits", f"Known: {', '.join(map(str, _BITS))}.")
    return mode, bits, group


def _affine_type(bits: int) -> str | None:
    """Which of our formats holds `q * scale + min` of so many bits."""
    return "q4a" if bits <= 4 else "q5_1" if bits == 5 else None


def _weight(stored: Stored, stem: str, mode: str, bits: int, group: int) -> Weight:
    parts = tuple(f"{stem}.{part}" for part in ("weight", "scales", "biases"))
    packed = stored.array(parts[0], "u32")
    stored.require(packed.ndim in (2, 3) and all(packed.shape), parts[0], "A matrix is expected, or a stack of them.")
    columns, rest = divmod(packed.shape[-1] * 32, bits)
    scales = stored.array(parts[1])
    fits = not rest and columns % group == 0 and scales.shape == (*packed.shape[:-1], columns // group)
    stored.require(fits, parts[0], f"Its scales have the shape {list(scales.shape)}; {bits} bits, groups of {group}.")
    if mode != "affine":
        return _floats(stored, mode, parts, packed, scales)
    how, lowest = stored.info(parts[1], "f16", "bf16", "f32"), stored.info(parts[2], "f16", "bf16", "f32")
    biases = stored.array(parts[2])
    stored.require(biases.shape == scales.shape, parts[2], f"Its scales have the shape {list(scales.shape)}.")
    shape = (*packed.shape[:-1], columns)
    words, scales, biases = (array.reshape(-1, array.shape[-1]) for array in (packed, scales, biases))
    dtype = _affine_type(bits)
    if dtype is None or group % GROUP or not (fits_f16(scales, how.dtype) and fits_f16(biases, lowest.dtype)):
        dtype = "f32"

    def made(begin: int, end: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        q = unpack_bits(words[begin:end], bits, columns)
        return q, to_f32(scales[begin:end], how.dtype), to_f32(biases[begin:end], lowest.dtype)

    def read_floats(begin: int, end: int) -> NDArray[np.float32]:
        q, scale, bias = made(begin, end)
        grouped = q.astype(np.float32).reshape(len(q), -1, group)
        return (grouped * scale[:, :, None] + bias[:, :, None]).reshape(q.shape)

    def read(begin: int, end: int) -> Mapping[str, NDArray[Any]]:
        q, scale, bias = made(begin, end)
        times = group // GROUP
        return {
            "q": q,
            "scale": np.repeat(scale, times, axis=1).astype(np.float16),
            "min": np.repeat(bias, times, axis=1).astype(np.float16),
        }

    reader: RowReader = read_floats if dtype == "f32" else read
    return stored.weight(parts[0], shape, dtype, reader, f"mlx {bits} bits", parts)


def _floats(stored: Stored, mode: str, parts: tuple[str, ...], packed: NDArray[Any], scales: NDArray[Any]) -> Weight:
    stored.info(parts[1], "u8")
    bytes_ = np.ascontiguousarray(packed).view(np.uint8)
    if mode == "mxfp4":
        return fp4.mxfp4(stored, parts[0], bytes_, scales, parts)
    if mode == "nvfp4":
        return fp4.nvfp4(stored, parts[0], bytes_, scales, 1.0, parts)
    rows, powers = bytes_.reshape(-1, bytes_.shape[-1]), scales.reshape(-1, scales.shape[-1])

    def read(begin: int, end: int) -> NDArray[np.float32]:
        scale = np.repeat(to_f32(powers[begin:end], "f8_e8m0"), GROUP, axis=1)
        return to_f32(rows[begin:end], "f8_e4m3") * scale

    return stored.weight(parts[0], bytes_.shape, "f32", read, "mlx mxfp8", parts)


def _each_expert(weight: Weight) -> Iterator[Weight]:
    """The matrices of a stack of experts by the names that their authors gave them; another weight as it is."""
    info = weight.info
    for module, names in _EXPERTS.items():
        before, found, part = info.name.removesuffix(".weight").rpartition(module)
        if found and part in names and len(info.shape) == 3 and info.reader is not None:
            count, rows, columns = info.shape
            for expert in range(count):
                name = before + names[part].format(expert)
                reader = _from(info.reader, expert * rows)
                one = replace(
                    info, name=name, shape=(rows, columns), size_bytes=info.size_bytes // count, reader=reader
                )
                yield Weight(one, weight.parts)
            return
    yield weight


def _from(reader: RowReader, first: int) -> RowReader:
    def read(begin: int, end: int) -> NDArray[np.float32] | Mapping[str, NDArray[Any]]:
        return reader(first + begin, first + end)

    return read
