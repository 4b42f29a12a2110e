"""f16 numbers read as f32, also where the processor has no instruction for it: LLVM would call a function for each."""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, bitcast, cast, const, f32
from hearth.compiler.cpu.targets import Isa

_FIELDS = (
    -0x70002000
)  # 0x8fffe000: sign, five bits of exponent, ten of mantissa, where f32 has them but for the exponent's top
_EXPONENT = 0x0F800000
_TOP = 0x70000000


def half_to_float(bits: Expr, lanes: int, *, finite: bool = False) -> Expr:
    """f16 numbers, given as their int16 bits, in f32.

    Args:
        finite: none is infinite or NaN: four instructions less.
    """
    moved = tirx.bitwise_and(
        tirx.shift_left(cast("int32", bits, lanes), const("int32", 13, lanes)), const("int32", _FIELDS, lanes)
    )
    # The exponent counts from 15 there and from 127 here; the product also sets small (subnormal) numbers right.
    value = bitcast("float32", moved, lanes) * f32(2.0**112, lanes)
    if finite:
        return value
    exponent = const("int32", _EXPONENT, lanes)
    special = tirx.EQ(tirx.bitwise_and(moved, exponent), exponent)
    return tirx.Select(special, bitcast("float32", tirx.bitwise_or(moved, const("int32", _TOP, lanes)), lanes), value)


def float_loader(isa: Isa, k: Kernel, memory: Memory) -> Callable[[Expr, int], Expr]:
    """load(index, lanes): numbers of a memory of f16, f32 or int8 as f32."""
    if memory.dtype == "float16" and not isa.has_half:
        bits = k.view(memory, "int16")
        return lambda index, lanes: half_to_float(bits.load(index, lanes), lanes)
    return lambda index, lanes: cast("float32", memory.load(index, lanes), lanes)
