"""What NVIDIA's Model Optimizer writes: NVFP4 (`weight` u8, `weight_scale` f8 for each 16 columns, `weight_scale_2` for
all), FP8 (`weight` f8, `weight_scale`) and MXFP4, also mixed in one model. All scales multiply.

Source: compressed-tensors, entrypoints/convert/converters/modelopt_nvfp4.py; Model Optimizer, export/quant_utils.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hearth.checkpoint.quantised import fp4
from hearth.checkpoint.quantised.scaled import BYTES, scaled_floats
from hearth.checkpoint.quantised.scheme import Scheme
from hearth.checkpoint.quantised.weight import Stored, Weight
from hearth.errors import Unsupported

SERVING = ("*.input_scale", "*.k_scale", "*.v_scale", "*.k_bmm_quantizer._scale", "*.v_bmm_quantizer._scale")
_NOT_READ = ("W4A8", "W8A8_SQ", "INT4", "W4A16_AWQ")
"""Beginnings of algorithms whose integers lie in an order for GPUs, or whose activations are scaled."""


def check(scheme: Scheme) -> None:
    """Raises Unsupported for settings that are not read."""
    if algorithm(scheme).startswith(_NOT_READ):
        raise scheme.unsupported("quant_algo", "Known are NVFP4, MXFP4 and FP8, and mixtures of these.")


def algorithm(scheme: Scheme) -> str:
    """What it calls the way of quantising, in capitals; "" where it does not say."""
    inner = scheme.settings.get("quantization")
    named = scheme.settings.get("quant_algo") or (inner.get("quant_algo") if isinstance(inner, Mapping) else "")
    return str(named or "").upper()


def weights(stored: Stored, scheme: Scheme) -> Iterator[Weight]:
    """Every weight that is stored so."""
    for name, info in stored.tensors.items():
        scale = f"{name}_scale"
        if scale not in stored.tensors:
            continue
        if f"{name.rpartition('.')[0]}.pre_quant_scale" in stored.tensors:
            raise Unsupported(
                f"The weight {name[:200]!r} goes with scaled activations (pre_quant_scale).",
                why="Hearth reads what is quantised without (NVFP4, FP8).",
            )
        if info.dtype in BYTES:
            yield scaled_floats(stored, name, name, scale)
        elif info.dtype == "u8":
            yield _fp4(stored, name, scale)


def expected(scheme: Scheme) -> str:
    """The type that most weights will be shown as."""
    named = algorithm(scheme)
    return "nvfp4" if "NVFP4" in named else "mxfp4" if "MXFP4" in named else "f32"


def _fp4(stored: Stored, name: str, scale: str) -> Weight:
    parts = (name, scale, f"{name}_scale_2")
    packed, how = stored.array(name, "u8"), stored.info(scale, "f8_e4m3", "u8", "f8_e8m0")
    if how.dtype != "f8_e4m3":
        return fp4.mxfp4(stored, name, packed, stored.array(scale), parts)
    whole = stored.floats(parts[2]).reshape(-1)
    fits = bool(np.isfinite(whole).all()) and whole.size in (1, np.prod(packed.shape[:-2], dtype=int))
    stored.require(fits, parts[2], "One finite number is expected.")
    return fp4.nvfp4(stored, name, packed, stored.array(scale), whole, parts)
