"""The one operation where instruction sets differ: dot products of 4 unsigned or signed bytes with 4 signed bytes.

Everything else in a kernel is written in LLVM vectors of 16 lanes, which LLVM splits to the registers there are. A
*group dot* is the sum over some quads (4 columns each) of weights times activations, exact, in int32. A *tap* is one
quad of activations in each of some places times one quad vector of weights in each of some blocks, added to sums that
live in registers from tap to tap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Register, bitcast, broadcast, cast, const, llvm, vec
from hearth.compiler.cpu.targets import DotKind, Isa


def group_dot(
    isa: Isa,
    k: Kernel,
    weights: Sequence[Callable[[], Expr]],
    activations: Sequence[Sequence[Expr]],
    bits: int,
    starts: Sequence[Expr] | None = None,
) -> list[Expr]:
    """Sums over quads of weight times activation, for several rows of activations.

    Quad by quad, all rows at each: so few vectors are alive at once, and the rows' sums do not wait for each other.

    Args:
        weights: for each quad what makes its vector of `isa.width` bytes: u8 below 2**bits, or i8 when bits is 8 and
            this instruction set takes signed ones.
        activations: for each row and quad an int32 that holds 4 signed bytes in [-127, 127].
        bits: of the weights; says how many products fit 16 bits.
        starts: for each row the int32 vector that its sum begins at; None: zeros.

    Returns:
        For each row an int32 vector of `isa.rows` lanes.
    """
    sums = None
    if isa.dot == "maddubs":
        sums = _maddubs(isa, k, weights, activations, bits)
    elif isa.dot == "smmla" and len(activations) > 1:
        sums = _smmla(k, weights, activations)
    elif isa.dot == "smull":
        sums = _smull(k, weights, activations, bits)
    elif isa.dot == "relaxed" and bits < 8:
        sums = _relaxed(k, weights, activations)
    elif isa.dot in ("dot16", "relaxed"):
        sums = _dot16(k, weights, activations)
    if sums is not None:
        return sums if starts is None else [total + start for total, start in zip(sums, starts, strict=True)]
    totals = [const("int32", 0, isa.rows) for _ in activations] if starts is None else list(starts)
    for s, make in enumerate(weights):
        w = make()
        for row, quads in enumerate(activations):
            totals[row] = k.let(accumulate(isa, totals[row], w, spread(isa, quads[s]), bits), "dot")
    return totals


def spread(isa: Isa, quad: Expr) -> Expr:
    """4 bytes, given as an int32, in every lane."""
    return bitcast("int8", broadcast(quad, isa.rows), isa.width)


def accumulate(isa: Isa, total: Expr, w: Expr, a: Expr, bits: int) -> Expr:
    """total + the sums of four products in each lane; for `vpdpbusd` (which takes w as unsigned), `sdot`, `generic`."""
    lanes = isa.rows
    if isa.dot == "vpdpbusd":
        name = f"llvm.x86.avx512.vpdpbusd.{isa.width * 8}"
        return llvm(name, vec("int32", lanes), total, bitcast("int8", w, isa.width), a)
    if isa.dot in ("sdot", "smmla"):
        return llvm("llvm.aarch64.neon.sdot", "int32x4", total, bitcast("int8", w, 16), a)
    # Four shifted products of whole vectors: any processor can, none likes it.
    words, quads = bitcast("int32", w, lanes), bitcast("int32", a, lanes)
    for byte in range(4):
        up, down = const("int32", 24 - 8 * byte, lanes), const("int32", 24, lanes)
        weight = tirx.shift_right(tirx.shift_left(words, up), down)
        if bits < 8:
            low = const("int32", 255, lanes)
            weight = tirx.bitwise_and(tirx.shift_right(words, const("int32", 8 * byte, lanes)), low)
        total = total + weight * tirx.shift_right(tirx.shift_left(quads, up), down)
    return total


def _maddubs(
    isa: Isa, k: Kernel, weights: Sequence[Callable[[], Expr]], activations: Sequence[Sequence[Expr]], bits: int
) -> list[Expr]:
    """AVX2: pairs of products are added in 16 bits with saturation, so only as many are summed there as fit."""
    width = isa.width
    per_sum = min({2: 8, 3: 8, 4: 8, 5: 4, 6: 2, 7: 1, 8: 1}[bits], len(weights))
    ones = const("int16", 1, width // 2)
    totals: list[Expr] = [None] * len(activations)
    for start in range(0, len(weights), per_sum):
        sums: list[Expr] = [None] * len(activations)
        for s in range(start, start + per_sum):
            w = bitcast("int8", weights[s](), width)
            # u8 x i8 is all there is: signed weights give their sign to the activation.
            size = k.let(sign(w, w), "size") if bits == 8 else w
            for row, quads in enumerate(activations):
                a = spread(isa, quads[s])
                if bits == 8:
                    a = sign(a, w)
                product = maddubs(size, a)
                sums[row] = k.let(product if sums[row] is None else sums[row] + product, "sum")
        for row, total in enumerate(totals):
            wide = madd(sums[row], ones)
            totals[row] = k.let(wide if total is None else total + wide, "dot")
    return totals


def sign(a: Expr, b: Expr) -> Expr:
    """32 bytes of a, each with the sign of b given to it: a, 0 or -a."""
    return llvm("llvm.x86.avx2.psign.b", "int8x32", a, b)


def maddubs(a: Expr, b: Expr) -> Expr:
    """Products of 32 unsigned bytes with signed ones, summed in pairs in 16 bits with saturation."""
    return llvm("llvm.x86.avx2.pmadd.ub.sw", "int16x16", a, b)


def madd(a: Expr, b: Expr) -> Expr:
    """Products of 16 words, summed in pairs in 32 bits."""
    return llvm("llvm.x86.avx2.pmadd.wd", "int32x8", a, b)


def _smmla(k: Kernel, weights: Sequence[Callable[[], Expr]], activations: Sequence[Sequence[Expr]]) -> list[Expr]:
    """Arm's i8mm: one instruction multiplies two rows of 8 columns with two others, so rows go in pairs.

    The 32-bit lanes of two quad vectors, zipped, are rows 0 and 1 of 8 columns, and rows 2 and 3. The sums come as
    (row of activations, row of weights) = 00 01 10 11.
    """
    pairs = range(len(activations) // 2)
    low, high = ([const("int32", 0, 4) for _ in pairs] for _ in range(2))
    for s in range(0, len(weights), 2):
        first, second = (bitcast("int32", weights[i](), 4) for i in (s, s + 1))
        rows01 = k.let(bitcast("int8", pick([first, second], (0, 4, 1, 5)), 16), "rows")
        rows23 = k.let(bitcast("int8", pick([first, second], (2, 6, 3, 7)), 16), "rows")
        for pair in pairs:
            both = [eight(activations[2 * pair + i], s) for i in (0, 1)]
            a = k.let(bitcast("int8", pick([broadcast(each, 2) for each in both], (0, 2)), 16), "pair")
            for sums, rows in ((low, rows01), (high, rows23)):
                sums[pair] = k.let(smmla(sums[pair], a, rows), "dot")
    halves = ((0, 1, 4, 5), (2, 3, 6, 7))
    return [k.let(pick([low[p], high[p]], lanes), "dot") for p in pairs for lanes in halves]


def smmla(total: Expr, a: Expr, b: Expr) -> Expr:
    """total + the products of two rows of 8 bytes with two others, 2 x 2."""
    return llvm("llvm.aarch64.neon.smmla", "int32x4", total, a, b)


def smull(a: Expr, b: Expr) -> Expr:
    """8 products of bytes in 16 bits."""
    return llvm("llvm.aarch64.neon.smull", "int16x8", a, b)


def wasm_dot(a: Expr, b: Expr) -> Expr:
    """8 products of 16-bit words, summed in pairs."""
    return llvm("llvm.wasm.dot", "int32x4", a, b)


def pick(vectors: Sequence[Expr], lanes: Sequence[int]) -> Expr:
    """The named lanes of all `vectors` in a row."""
    return tirx.Shuffle(list(vectors), [const("int32", i) for i in lanes])


def eight(quads: Sequence[Expr], s: int) -> Expr:
    """Two quads as one int64, which LLVM makes one load of."""
    first, second = (cast("uint64", bitcast("uint32", quads[i])) for i in (s, s + 1))
    return tirx.bitwise_or(tirx.shift_left(second, const("uint64", 32)), first)


def _smull(
    k: Kernel, weights: Sequence[Callable[[], Expr]], activations: Sequence[Sequence[Expr]], bits: int
) -> list[Expr]:
    """Plain NEON: products of bytes are summed in 16 bits as long as they fit, then added in pairs to 32 bits."""
    per_sum = min({2: 8, 3: 8, 4: 8, 5: 8, 6: 4, 7: 2, 8: 2}[bits], len(weights))
    totals: list[list[Expr]] = [[const("int32", 0, 4)] * 2 for _ in activations]
    for start in range(0, len(weights), per_sum):
        sums: list[list[Expr]] = [[const("int16", 0, 8)] * 2 for _ in activations]
        for s in range(start, start + per_sum):
            w = bitcast("int8", weights[s](), 16)
            parts = [k.let(pick([w], range(i, i + 8)), "half") for i in (0, 8)]
            for row, quads in enumerate(activations):
                a = bitcast("int8", broadcast(quads[s], 2), 8)
                for i, part in enumerate(parts):
                    product = smull(part, a)
                    sums[row][i] = k.let(product if s == start else sums[row][i] + product, "sum")
        for row, both in enumerate(sums):
            for i, words in enumerate(both):
                wide = llvm("llvm.aarch64.neon.saddlp", "int32x4", words)
                totals[row][i] = k.let(wide if start == 0 else totals[row][i] + wide, "wide")
    return [k.let(llvm("llvm.aarch64.neon.addp", "int32x4", *both), "dot") for both in totals]


def _dot16(k: Kernel, weights: Sequence[Callable[[], Expr]], activations: Sequence[Sequence[Expr]]) -> list[Expr]:
    """WebAssembly: no products of signed bytes, but of 16-bit words with a sum of two in 32 bits."""
    totals: list[list[Expr]] = [[const("int32", 0, 4)] * 2 for _ in activations]
    for s, make in enumerate(weights):
        w = bitcast("int8", make(), 16)
        parts = [k.let(cast("int16", pick([w], range(i, i + 8)), 8), "half") for i in (0, 8)]
        for row, quads in enumerate(activations):
            a = k.let(cast("int16", bitcast("int8", broadcast(quads[s], 2), 8), 8), "quad")
            for i, part in enumerate(parts):
                product = wasm_dot(part, a)
                totals[row][i] = k.let(product if s == 0 else totals[row][i] + product, "wide")
    even, odd = (0, 2, 4, 6), (1, 3, 5, 7)
    return [k.let(pick(both, even) + pick(both, odd), "dot") for both in totals]


def _relaxed(k: Kernel, weights: Sequence[Callable[[], Expr]], activations: Sequence[Sequence[Expr]]) -> list[Expr]:
    """WebAssembly's relaxed dot product: four products of signed bytes with others in [0, 127], summed by twos in 16
    bits, where such always fit. All engines answer the same; of larger bytes they may take the sign bit for either."""
    k.use("+relaxed-simd")
    totals: list[Expr] = [const("int32", 0, 4)] * len(activations)
    for s, make in enumerate(weights):
        w = bitcast("int8", make(), 16)
        for row, quads in enumerate(activations):
            a = bitcast("int8", broadcast(quads[s], 4), 16)
            name = "llvm.wasm.relaxed.dot.i8x16.i7x16.add.signed"
            totals[row] = k.let(llvm(name, "int32x4", a, w, totals[row]), "dot")
    return totals


def sum_vectors(isa: Isa) -> int:
    """Vectors of `isa.rows` int32 that hold the running sums of one quad vector's taps (`finish_tap_sum`)."""
    return 2 if isa.dot in ("smull", "dot16", "relaxed") else 1


def tap_sums(isa: Isa) -> int:
    """How many sums of 16 outputs the registers hold beside what `add_tap` needs."""
    # psign takes the signed activations and the sizes of the weights too.
    return isa.float_tile[1] // sum_vectors(isa) - (2 if isa.dot == "maddubs" else 0)


def add_tap(
    isa: Isa, k: Kernel, sums: Sequence[Sequence[Sequence[Register]]], weights: Sequence[Expr], quads: Sequence[Expr]
) -> None:
    """sums[place][vector] += weights[vector] * quads[place].

    Args:
        sums: for each place and vector of weights `sum_vectors` int32 registers.
        weights: int8 of `isa.width` in [-127, 127].
        quads: int32 that hold 4 bytes in [-127, 127], or 128 more (`Isa.unsigned_activations`).
    """
    step = {"maddubs": _MaddubsTap, "smull": _SmullTap, "dot16": _Dot16Tap, "relaxed": _Dot16Tap}.get(isa.dot, _Tap)(
        isa, k
    )
    held = [step.weight(w) for w in weights]
    for place, quad in zip(sums, quads, strict=True):
        activation = step.activation(quad)
        for registers, weight in zip(place, held, strict=True):
            step.add(registers, weight, activation)


def finish_tap_sum(isa: Isa, registers: Sequence[Register]) -> Expr:
    """The int32 sums of a vector's `isa.rows` outputs."""
    values = [register.get() for register in registers]
    if isa.dot == "smull":
        return llvm("llvm.aarch64.neon.addp", "int32x4", *values)
    if isa.dot in ("dot16", "relaxed"):
        return pick(values, (0, 2, 4, 6)) + pick(values, (1, 3, 5, 7))
    return values[0]


class _Tap:
    """Instructions that multiply 4 bytes in each lane and add to its sum."""

    def __init__(self, isa: Isa, k: Kernel) -> None:
        self.isa, self.k = isa, k

    def weight(self, w: Expr) -> list[Expr]:
        return [w]

    def activation(self, quad: Expr) -> list[Expr]:
        return [self.k.let(spread(self.isa, quad), "a")]

    def add(self, registers: Sequence[Register], weight: list[Expr], activation: list[Expr]) -> None:
        total = registers[0].get()
        # Of a product of bytes the first are unsigned where signs differ: here the activations.
        first, second = (activation, weight) if self.isa.unsigned_activations else (weight, activation)
        registers[0].set(accumulate(self.isa, total, first[0], second[0], 8))


class _MaddubsTap(_Tap):
    """AVX2: the sign of a weight goes to the activation, and pairs of products into 16 bits, where two fit."""

    def weight(self, w: Expr) -> list[Expr]:
        return [w, self.k.let(sign(w, w), "size")]

    def add(self, registers: Sequence[Register], weight: list[Expr], activation: list[Expr]) -> None:
        w, size = weight
        pairs = maddubs(size, sign(activation[0], w))
        registers[0].set(registers[0].get() + madd(pairs, const("int16", 1, self.isa.width // 2)))


class _SmullTap(_Tap):
    """Plain NEON: products of bytes in 16 bits, added in pairs to the sums of two columns of a row at a time."""

    def weight(self, w: Expr) -> list[Expr]:
        return [self.k.let(pick([w], range(i, i + 8)), "half") for i in (0, 8)]

    def activation(self, quad: Expr) -> list[Expr]:
        return [self.k.let(bitcast("int8", broadcast(quad, 2), 8), "a")]

    def add(self, registers: Sequence[Register], weight: list[Expr], activation: list[Expr]) -> None:
        for register, half in zip(registers, weight, strict=True):
            wide = llvm("llvm.aarch64.neon.saddlp", "int32x4", smull(half, activation[0]))
            register.set(register.get() + wide)


class _Dot16Tap(_Tap):
    """WebAssembly: products of 16-bit words, summed in pairs."""

    def weight(self, w: Expr) -> list[Expr]:
        return [self.k.let(cast("int16", pick([w], range(i, i + 8)), 8), "half") for i in (0, 8)]

    def activation(self, quad: Expr) -> list[Expr]:
        return [self.k.let(cast("int16", bitcast("int8", broadcast(quad, 2), 8), 8), "a")]

    def add(self, registers: Sequence[Register], weight: list[Expr], activation: list[Expr]) -> None:
        for register, half in zip(registers, weight, strict=True):
            register.set(register.get() + wasm_dot(half, activation[0]))


_TAPS: dict[DotKind, type[_Tap]] = {
    "maddubs": _MaddubsTap,
    "smull": _SmullTap,
    "dot16": _Dot16Tap,
    "relaxed": _Dot16Tap,
}
