"""What a bundle is compiled for: a triple and an instruction set, chosen from what the processor has.

Data only, no TVM: `hearth doctor` and the compile cache ask here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hearth.bundle.cpu import architecture, features
from hearth.errors import UsageError

MatrixKind = Literal["amx"]
DotKind = Literal["vpdpbusd", "maddubs", "smmla", "sdot", "smull", "relaxed", "dot16", "generic"]


@dataclass(frozen=True)
class Isa:
    """One instruction set, as far as kernels differ by it.

    Attributes:
        name: for `--isa`, `hearth doctor` and manifests.
        architecture: of the processors that may have it; None: any.
        width: bytes of an integer vector.
        dot: the instruction for products of bytes.
        tile_rows: rows of activations that a product with groups keeps in registers at once (a power of two).
        tile: rows of activations, and blocks of 16 weight rows, whose sums over all of K are held in registers: as many
            as there are addresses for, too.
        float_tile: rows that attention takes at once, and how many sums of 16 lanes fit the registers.
        features: what the processor must have, as Linux spells it in /proc/cpuinfo; for WebAssembly what the engine
            must know.
        llvm_features: the same for LLVM.
        has_half: it has instructions that convert f16.
        matrix: the unit that multiplies whole tiles of bytes; the vectors compute all else, and products of few rows.
    """

    name: str
    architecture: str | None
    width: int
    dot: DotKind
    tile_rows: int
    tile: tuple[int, int]
    float_tile: tuple[int, int]
    features: tuple[str, ...]
    llvm_features: tuple[str, ...]
    has_half: bool = True
    matrix: MatrixKind | None = None

    @property
    def rows(self) -> int:
        """Weight rows in one vector of quads."""
        return self.width // 4

    @property
    def parts(self) -> int:
        """Vectors that make up a block of 16 rows."""
        return 16 // self.rows

    def symbol(self, kernel: str) -> str:
        """The C name of this set's form of a kernel: a library may hold several."""
        return f"{kernel}_{self.name}"

    @property
    def lifts_integers(self) -> bool:
        """Whether integers with a zero point are read shifted up to 8 bits, so that 128 stands for 0 in every format:
        sums then begin at -128 times the sum of the activations, which costs nothing where the dot product adds to a
        sum and takes unsigned bytes."""
        return self.dot == "vpdpbusd"

    @property
    def unsigned_activations(self) -> bool:
        """Whether activations with a scale a row are prepared as unsigned bytes, 128 above their value: the sums of a
        product then begin at -128 times those of the weights, which costs nothing."""
        return self.dot == "vpdpbusd"

    @property
    def gains_by_rows(self) -> bool:
        """Whether products with one scale a row are faster than those of groups: where one instruction multiplies and
        adds to 32 bits. Sums of 16 bits hold more products of 4-bit weights than of the bytes that rows would have."""
        return self.dot in ("vpdpbusd", "sdot", "smmla")

    @property
    def prefers_positive_quads(self) -> bool:
        """Whether products with signed bytes take more instructions than with bytes of 0 to 127."""
        return self.dot in ("maddubs", "relaxed")

    def unsigned_quads(self, signed: bool) -> bool:
        """Whether `group_dot` wants stored signed bytes as unsigned ones (+128)."""
        return signed and self.dot == "vpdpbusd"


_X86_BASE = ("avx2", "f16c", "fma", "bmi2")
_X86_LLVM = ("+avx2", "+f16c", "+fma", "+bmi2")

_AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", *_X86_BASE)
_AVX512_LLVM = ("+avx512f", "+avx512bw", "+avx512dq", "+avx512vl", "+avx512vnni", *_X86_LLVM)

ISAS: dict[str, Isa] = {
    isa.name: isa
    for isa in (
        Isa(
            "amx_int8", "x86_64", 64, "vpdpbusd", 8, (32, 2), (12, 24),
            ("amx_tile", "amx_int8", *_AVX512), ("+amx-tile", "+amx-int8", *_AVX512_LLVM), matrix="amx",
        ),
        Isa("avx512vnni", "x86_64", 64, "vpdpbusd", 8, (8, 2), (12, 24), _AVX512, _AVX512_LLVM),
        Isa("avxvnni", "x86_64", 32, "vpdpbusd", 4, (6, 1), (6, 6), ("avx_vnni", *_X86_BASE), ("+avxvnni", *_X86_LLVM)),
        Isa("avx2", "x86_64", 32, "maddubs", 4, (8, 1), (6, 6), _X86_BASE, _X86_LLVM),
        Isa("i8mm", "aarch64", 16, "smmla", 8, (6, 1), (6, 6), ("asimddp", "i8mm"), ("+neon", "+dotprod", "+i8mm")),
        Isa("dotprod", "aarch64", 16, "sdot", 4, (6, 1), (6, 6), ("asimddp",), ("+neon", "+dotprod")),
        Isa("neon", "aarch64", 16, "smull", 4, (4, 1), (6, 6), ("asimd",), ("+neon",)),
        Isa(
            "relaxed", "wasm32", 16, "relaxed", 4, (4, 1), (4, 4), ("simd128", "relaxed_simd"),
            ("+simd128", "+bulk-memory"), has_half=False,
        ),
        Isa(
            "simd128", "wasm32", 16, "dot16", 4, (4, 1), (4, 4), ("simd128",), ("+simd128", "+bulk-memory"),
            has_half=False,
        ),
        Isa("generic", None, 64, "generic", 4, (4, 1), (4, 4), (), (), has_half=False),
    )
}  # fmt: skip
"""From best to plainest for each architecture."""


MEMORY_BYTES = {"wasm32": 1 << 32}
"""Most that a program has on an architecture whose addresses have fewer than 64 bits."""


def addressed_bytes(target: str) -> int | None:
    """Most memory that a program has on a target; None: more than any machine has."""
    return MEMORY_BYTES.get(architecture(target.partition("-")[0]))


def best_isa(target: str, cpu_features: frozenset[str]) -> Isa:
    """The best instruction set for `target`.

    Args:
        target: a triple, such as `x86_64-linux-gnu`.
        cpu_features: of its processor.
    """
    arch = architecture(target.partition("-")[0])
    fitting = (isa for isa in ISAS.values() if isa.architecture in (None, arch))
    return next(isa for isa in fitting if cpu_features.issuperset(isa.features))


def choose_isas(target: str, host: str, names: str | None = None) -> tuple[Isa, ...]:
    """The instruction sets that a bundle carries, best first: it uses the first that a processor has.

    Args:
        names: as the user gives them (`--isa`): `avx2,avx512vnni`, or `all` of the target's architecture. None: for
            this machine the best that it has; for another (or where that cannot be told) all made for its architecture.

    Raises:
        UsageError: a name is no instruction set of the target.
    """
    arch = architecture(target.partition("-")[0])
    known = tuple(isa for isa in ISAS.values() if isa.architecture in (None, arch))
    here = features() if target == host else None
    if names is None and here is not None:
        return (best_isa(target, here),)
    if names is None:
        return tuple(isa for isa in known if isa.architecture is not None) or known
    if names == "all":
        return known
    wanted = {name.strip() for name in names.split(",")}
    for name in sorted(wanted - {isa.name for isa in known}):
        raise UsageError(
            f"'{name}' is no instruction set of {target}.",
            hint=f"Choose some of: {', '.join(isa.name for isa in known)}; or all.",
        )
    return tuple(isa for isa in known if isa.name in wanted)
