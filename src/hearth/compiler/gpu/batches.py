"""How batches are cut for GPUs: constants and bounds that differ from those of CPUs (`model/text/batch.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hearth.compiler.gpu.features import MAX_BINDING_BYTES
from hearth.compiler.gpu.kernels.attention import partial_width
from hearth.compiler.gpu.kernels.attention_tile import MOST_ROWS
from hearth.compiler.passes.rewrite import attribute, is_op
from hearth.model.text.batch import HIDDEN_TOKENS, IN_PARTS, LIKELIEST_ROWS, LONGEST_TILE, SPLIT_TOKENS, TILE_TOKENS
from hearth.model.text.kv_cache import PAGE_TOKENS, padded_head

ATTENTION = "hearth.paged_attention"
_MOST_PARTIALS = 2048
"""Each is some ten KB."""

Bounds = tuple[int, int]


def gpu_symbols(module: Any, symbols: Mapping[str, Bounds]) -> dict[str, Bounds]:
    """The bounds of a plan's symbols on GPUs.

    A tile has as many tokens as make a full workgroup of rows, also where no query heads share a KV head, so that keys
    and values are read seldom. Two of the longest contexts can be cut into all of their splits at once: what is not cut
    is the work of one workgroup for each KV head.
    """
    attentions = [value for value in _values(module) if is_op(value, ATTENTION)]
    if not attentions:
        return dict(symbols)
    tile = max(TILE_TOKENS, MOST_ROWS // max(_size(a, "num_heads") // _size(a, "num_kv_heads") for a in attentions))
    longest = symbols["block_table_stride"][1] * PAGE_TOKENS
    bytes_each = max(_size(a, "num_heads") * partial_width(padded_head(_size(a, "head_dim"))) * 4 for a in attentions)
    wanted = min(2 * -(-longest // SPLIT_TOKENS), _MOST_PARTIALS, MAX_BINDING_BYTES // bytes_each)
    partials = max(symbols["merges"][1], wanted)
    return {
        **symbols,
        "tile_tokens": (tile, tile),
        LONGEST_TILE: (1, tile),
        HIDDEN_TOKENS: (0, symbols["tokens"][1]),
        LIKELIEST_ROWS: (0, symbols["logit_rows"][1]),
        IN_PARTS: (0, 1),
        "merges": (0, partials),
        "items": (1, symbols["tokens"][1] + partials),
    }


def _size(attention: Any, name: str) -> int:
    return int(attribute(attention, name))


def _values(module: Any) -> list[Any]:
    return [b.value for function in module.functions.values() for b in function.body.blocks[0].bindings]
