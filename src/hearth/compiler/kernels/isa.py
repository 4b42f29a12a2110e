"""Instruction sets: the one operation where they differ, the dot product of 4 unsigned or signed bytes with 4 signed bytes.

Everything else in a kernel is written in LLVM vectors of 16 lanes, which LLVM splits to the registers there are. An
`Isa` says how wide its byte vectors are (rows are taken `rows = width / 4` at a time) and computes a *group dot*: the sum
over some quads (4 columns each) of weights times activations, exactly, in int32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tvm import tirx

from hearth.compiler.kernels.builder import Expr, Kernel, bitcast, broadcast, cast, const, llvm, vec

DotKind = Literal["vpdpbusd", "maddubs", "sdot", "generic"]


@dataclass(frozen=True)
class Isa:
    """One instruction set.

    Attributes:
        name: in kernel names, `hearth doctor` and manifests.
        width: bytes of an integer vector.
        tile_rows: rows of activations that a product keeps in registers at once (a power of two).
        features: what the processor must have, as the kernel of the operating system spells it.
        llvm_features: the same for LLVM.
    """

    name: str
    width: int
    dot: DotKind
    tile_rows: int
    features: tuple[str, ...]
    llvm_features: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Weight rows in one vector of quads."""
        return self.width // 4

    @property
    def parts(self) -> int:
        """Vectors that make up a block of 16 rows."""
        return 16 // self.rows

    def unsigned_quads(self, signed: bool) -> bool:
        """Whether `group_dot` wants stored signed bytes as unsigned ones (+128)."""
        return signed and self.dot == "vpdpbusd"

    def group_dot(self, k: Kernel, weights: Sequence[Expr], activations: Sequence[Expr], bits: int) -> Expr:
        """Sum over quads of weight times activation.

        Args:
            weights: u8 vectors of `width` (values below 2**bits), or i8 vectors when bits is 8 and this instruction
                set takes signed ones.
            activations: for each quad an int32 that holds 4 signed bytes in [-127, 127].
            bits: of the weights; says how many products fit 16 bits.

        Returns:
            int32 vector of `rows` lanes.
        """
        lanes = self.rows
        acts = [bitcast("int8", broadcast(a, lanes), self.width) for a in activations]
        if self.dot == "maddubs":
            return self._maddubs(k, weights, acts, bits)
        total = const("int32", 0, lanes)
        for w, a in zip(weights, acts, strict=True):
            total = k.let(self._accumulate(total, w, a, bits), "dot")
        return total

    def _accumulate(self, total: Expr, w: Expr, a: Expr, bits: int) -> Expr:
        lanes = self.rows
        if self.dot == "vpdpbusd":
            return llvm(f"llvm.x86.avx512.vpdpbusd.{self.width * 8}", vec("int32", lanes), total, bitcast("int8", w, self.width), a)
        if self.dot == "sdot":
            return llvm("llvm.aarch64.neon.sdot", "int32x4", total, bitcast("int8", w, 16), a)
        # Four shifted products of whole vectors: any processor can, none likes it.
        words, quads = bitcast("int32", w, lanes), bitcast("int32", a, lanes)
        for byte in range(4):
            up, down = const("int32", 24 - 8 * byte, lanes), const("int32", 24, lanes)
            weight = tirx.shift_right(tirx.shift_left(words, up), down)
            if bits < 8:
                weight = tirx.bitwise_and(tirx.shift_right(words, const("int32", 8 * byte, lanes)), const("int32", 255, lanes))
            total = total + weight * tirx.shift_right(tirx.shift_left(quads, up), down)
        return total

    def _maddubs(self, k: Kernel, weights: Sequence[Expr], acts: Sequence[Expr], bits: int) -> Expr:
        """AVX2: pairs of products are added in 16 bits with saturation, so only as many are summed there as fit."""
        lanes, width = self.rows, self.width
        per_sum = {4: 8, 5: 4, 6: 2, 8: 1}[bits]
        ones = const("int16", 1, width // 2)
        total: Expr | None = None
        for start in range(0, len(weights), per_sum):
            sums: Expr | None = None
            for w, a in zip(weights[start : start + per_sum], acts[start : start + per_sum], strict=True):
                if bits == 8:  # u8 x i8 only: move the weight's sign over to the activation
                    signed = bitcast("int8", w, width)
                    a = llvm("llvm.x86.avx2.psign.b", vec("int8", width), a, signed)
                    w = bitcast("uint8", llvm("llvm.x86.avx2.psign.b", vec("int8", width), signed, signed), width)
                product = llvm("llvm.x86.avx2.pmadd.ub.sw", vec("int16", width // 2), bitcast("int8", w, width), a)
                sums = k.let(product if sums is None else sums + product, "sum")
            wide = llvm("llvm.x86.avx2.pmadd.wd", vec("int32", lanes), sums, ones)
            total = k.let(wide if total is None else total + wide, "dot")
        assert total is not None
        return total


def to_float(value: Expr, lanes: int) -> Expr:
    return cast("float32", value, lanes)


ISAS: dict[str, Isa] = {
    isa.name: isa
    for isa in (
        Isa(
            "avx512vnni", 64, "vpdpbusd", 8,
            ("avx512f", "avx512bw", "avx512vl", "avx512_vnni", "f16c", "fma", "avx2"),
            ("+avx512f", "+avx512bw", "+avx512dq", "+avx512vl", "+avx512vnni", "+f16c", "+fma", "+avx2"),
        ),
        Isa("avxvnni", 32, "vpdpbusd", 4, ("avx_vnni", "avx2", "f16c", "fma"), ("+avxvnni", "+avx2", "+f16c", "+fma")),
        Isa("avx2", 32, "maddubs", 4, ("avx2", "f16c", "fma"), ("+avx2", "+f16c", "+fma")),
        Isa("dotprod", 16, "sdot", 4, ("asimddp",), ("+neon", "+dotprod", "+fullfp16")),
        Isa("generic", 64, "generic", 4, (), ()),
    )
}  # fmt: skip
"""From best to plainest for each architecture; `compiler/targets.py` chooses."""
