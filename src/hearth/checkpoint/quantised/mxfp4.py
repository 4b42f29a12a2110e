"""MXFP4 as gpt-oss has it: experts' matrices as `NAME_blocks` u8 `(experts, rows, groups, 16)` and `NAME_scales` u8
`(experts, rows, groups)`, the lower half of a byte first.

The tensor that is shown is called `NAME.weight` and has the shape `(experts, rows, columns)`, a row for each output: as
the file has it, and as products read it. What is called NAME where nothing is quantised is the same transposed,
`(experts, columns, rows)`.
Source: transformers, integrations/mxfp4.py (convert_moe_packed_tensors).
"""

from __future__ import annotations

from collections.abc import Iterator

from hearth.checkpoint.quantised import fp4
from hearth.checkpoint.quantised.scheme import Scheme
from hearth.checkpoint.quantised.weight import Stored, Weight

_BLOCKS, _SCALES = "_blocks", "_scales"


def check(scheme: Scheme) -> None:
    """There is nothing to choose."""


def weights(stored: Stored, scheme: Scheme) -> Iterator[Weight]:
    """Every weight that is stored so."""
    for name in stored.stems(_BLOCKS):
        parts = (name + _BLOCKS, name + _SCALES)
        blocks, scales = stored.array(parts[0], "u8"), stored.array(parts[1], "u8")
        fits = blocks.ndim >= 3 and blocks.shape[-1] * 2 == fp4.MX_COLUMNS and blocks.shape[:-1] == scales.shape
        stored.require(fits, parts[0], f"Its scales have the shape {list(scales.shape)}.")
        yield fp4.mxfp4(stored, name + ".weight", blocks.reshape(*blocks.shape[:-2], -1), scales, parts)


def expected(scheme: Scheme) -> str:
    """The type that most weights will be shown as."""
    return "mxfp4"
