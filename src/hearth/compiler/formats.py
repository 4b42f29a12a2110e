"""Formats of the weights of networks that see, or that strangers wrote: matrices as asked, convolutions with them."""

from __future__ import annotations

from hearth.checkpoint.types import SourceKind
from hearth.model.network import Network
from hearth.quant.formats import FORMATS, Format
from hearth.quant.mixed import base_of
from hearth.quant.policy import Precision, choose_format, format_name


def formats_of(network: Network, quant: str, precision: Precision, kind: SourceKind) -> dict[str, Format]:
    """Format of every matrix and of convolutions, which are 8-bit integers where matrices have one scale a row, and f32
    beside the finer scales of the others. Of a mixture the base: which matrices are coarser is for calibration to say.

    Raises:
        UsageError: `quant` is no format that a user may choose.
    """
    quant = base_of(quant) or quant
    formats = {}
    for name, shape in network.shapes.items():
        role = network.role(name)
        if role == "exact":
            continue
        if len(shape) == 2:
            formats[name] = choose_format(name, role, "f32", kind, quant)
        elif precision != "high" and FORMATS[format_name(quant)].is_row:
            formats[name] = FORMATS["i8"]
    return formats
