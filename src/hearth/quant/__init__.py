"""Number formats: what a weight may be stored as, how it is rounded, and how its bytes lie in memory.

Numpy only: this is the bit-exact reference that the compiler's kernels are tested against. It knows nothing of models,
files or TVM; `compiler` calls `pack_weight`, and asks a `Format` for the bytes of its block.
"""

from hearth.quant.blocks import Blocks, unpack
from hearth.quant.formats import COLUMN_MULTIPLE, FORMATS, LANES, Field, Format, get_format, packed_size, round_up
from hearth.quant.gguf import from_gguf
from hearth.quant.layout import pack, pack_into, packed_view, unpack_blocks, unpack_layout
from hearth.quant.quantize import quantize

__all__ = [
    "COLUMN_MULTIPLE",
    "FORMATS",
    "LANES",
    "Blocks",
    "Field",
    "Format",
    "from_gguf",
    "get_format",
    "pack",
    "pack_into",
    "packed_size",
    "packed_view",
    "quantize",
    "round_up",
    "unpack",
    "unpack_blocks",
    "unpack_layout",
]
