"""FP8 with scales that multiply: `weight_scale_inv` of blocks or of the whole (fp8), `weight_scale` of rows
(fbgemm_fp8).

Source: transformers, integrations/finegrained_fp8.py and fbgemm_fp8.py. As DeepSeek published it first.
"""

from __future__ import annotations

from collections.abc import Iterator

from hearth.checkpoint.quantised.scaled import BYTES, scaled_floats
from hearth.checkpoint.quantised.scheme import Scheme
from hearth.checkpoint.quantised.weight import Stored, Weight

ACTIVATIONS = ("activation_scale", "input_scale", "input_scale_ub")
"""Scales that processors with such arithmetic round activations with, beside a weight."""
_ENDINGS = ("_scale_inv", "_scale")


def check(scheme: Scheme) -> None:
    """Raises Unsupported for blocks that are no pair of sizes."""
    block_of(scheme)


def block_of(scheme: Scheme) -> tuple[int, int] | None:
    """Rows and columns of a block; None where there are none."""
    block = scheme.settings.get("weight_block_size")
    if block is None:
        return None
    if not (isinstance(block, list) and len(block) == 2 and all(type(n) is int and 0 < n < 1 << 24 for n in block)):
        raise scheme.unsupported("weight_block_size", "Two sizes are known.")
    return block[0], block[1]


def weights(stored: Stored, scheme: Scheme) -> Iterator[Weight]:
    """Every float of 8 bits that has a scale."""
    block = block_of(scheme)
    for name, info in stored.tensors.items():
        scale = next((name + ending for ending in _ENDINGS if name + ending in stored.tensors), None)
        if info.dtype in BYTES and scale is not None:
            serving = tuple(f"{name.rpartition('.')[0]}.{ending}" for ending in ACTIVATIONS)
            yield scaled_floats(stored, name, name, scale, block=block, serving=serving)


def expected(scheme: Scheme) -> str:
    """The type that most weights will be shown as."""
    return "f32"
