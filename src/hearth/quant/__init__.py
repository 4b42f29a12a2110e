"""Number formats: what a weight may be stored as, how it is rounded, and how its bytes lie in memory.

Numpy only: this is the bit-exact reference that the compiler's kernels are tested against. It knows nothing of models,
files or TVM; `compiler` calls `pack_weight`, and asks a `Format` for the bytes of its block.
"""

from hearth.quant.blocks import Blocks, unpack
from hearth.quant.calibrated import quantize_calibrated
from hearth.quant.formats import COLUMN_MULTIPLE, FORMATS, LANES, Field, Format, get_format, packed_size, round_up
from hearth.quant.gguf import from_gguf
from hearth.quant.layout import pack, pack_into, packed_view, unpack_blocks, unpack_layout
from hearth.quant.policy import (
    BODY_FORMATS,
    DEFAULT_HEAD,
    DEFAULT_QUANT,
    USER_FORMATS,
    choose_format,
    format_name,
    shared_format,
)
from hearth.quant.rounding import quantize
from hearth.quant.row_rounding import quantize_rows
from hearth.quant.source import RowSource, read_f32
from hearth.quant.weights import Arrangement, pack_weight, weight_rows

__all__ = [
    "BODY_FORMATS",
    "COLUMN_MULTIPLE",
    "DEFAULT_HEAD",
    "DEFAULT_QUANT",
    "FORMATS",
    "LANES",
    "USER_FORMATS",
    "Arrangement",
    "Blocks",
    "Field",
    "Format",
    "RowSource",
    "choose_format",
    "format_name",
    "from_gguf",
    "get_format",
    "pack",
    "pack_into",
    "pack_weight",
    "packed_size",
    "packed_view",
    "quantize",
    "quantize_calibrated",
    "quantize_rows",
    "read_f32",
    "round_up",
    "shared_format",
    "unpack",
    "unpack_blocks",
    "unpack_layout",
    "weight_rows",
]
