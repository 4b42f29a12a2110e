"""What a bundle is compiled for: a triple and an instruction set, chosen from what the processor has.

Data only, no TVM: `hearth doctor` and the compile cache ask here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hearth.bundle.cpu import architecture, features
from hearth.errors import UsageError

DotKind = Literal["vpdpbusd", "maddubs", "sdot", "generic"]


@dataclass(frozen=True)
class Isa:
    """One instruction set, as far as kernels differ by it.

    Attributes:
        name: in kernel names, `hearth doctor` and manifests.
        architecture: of the processors that may have it; None: any.
        width: bytes of an integer vector.
        dot: the instruction for products of bytes.
        tile_rows: rows of activations that a product keeps in registers at once (a power of two).
        float_tile: rows that attention takes at once, and how many sums of 16 lanes fit the registers.
        features: what the processor must have, as Linux spells it in /proc/cpuinfo.
        llvm_features: the same for LLVM.
    """

    name: str
    architecture: str | None
    width: int
    dot: DotKind
    tile_rows: int
    float_tile: tuple[int, int]
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


_X86_BASE = ("avx2", "f16c", "fma")
_X86_LLVM = ("+avx2", "+f16c", "+fma", "+bmi2")

ISAS: dict[str, Isa] = {
    isa.name: isa
    for isa in (
        Isa(
            "avx512vnni", "x86_64", 64, "vpdpbusd", 8, (8, 16),
            ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", *_X86_BASE),
            ("+avx512f", "+avx512bw", "+avx512dq", "+avx512vl", "+avx512vnni", *_X86_LLVM),
        ),
        Isa("avxvnni", "x86_64", 32, "vpdpbusd", 4, (4, 4), ("avx_vnni", *_X86_BASE), ("+avxvnni", *_X86_LLVM)),
        Isa("avx2", "x86_64", 32, "maddubs", 4, (4, 4), _X86_BASE, _X86_LLVM),
        Isa("dotprod", "aarch64", 16, "sdot", 4, (4, 4), ("asimddp",), ("+neon", "+dotprod")),
        Isa("generic", None, 64, "generic", 4, (4, 4), (), ()),
    )
}  # fmt: skip
"""From best to plainest for each architecture."""


def best_isa(target: str, cpu_features: frozenset[str] | None = None) -> Isa:
    """The best instruction set for `target`.

    Args:
        target: a triple, such as `x86_64-linux-gnu`.
        cpu_features: of its processor; None: what every processor of the architecture made since about 2015 has, and on
            Apple's Arm since the first.
    """
    arch = architecture(target.partition("-")[0])
    if cpu_features is None:
        cpu_features = frozenset({"x86_64": _X86_BASE, "aarch64": ("asimddp",)}.get(arch, ()))
    for isa in ISAS.values():
        if isa.architecture in (None, arch) and cpu_features.issuperset(isa.features):
            return isa
    raise UsageError(f"No instruction set is known for {target}.")


def choose_isa(target: str, host: str, name: str | None = None) -> Isa:
    """The instruction set named by the user (`--isa`), or the best: for this machine what it has, else the common
    one."""
    if name is not None:
        if name not in ISAS or ISAS[name].architecture not in (None, architecture(target.partition("-")[0])):
            known = [i.name for i in ISAS.values() if i.architecture in (None, architecture(target.partition("-")[0]))]
            raise UsageError(f"'{name}' is no instruction set of {target}.", hint=f"Choose one of: {', '.join(known)}.")
        return ISAS[name]
    return best_isa(target, features() if target == host else None)
