"""Values that are the first numbers of the keys (latent vectors): their weighted sums, from pages of keys.

Keys have their tokens innermost, so a sum over tokens is a product of vectors of 16 tokens, with the weights of a row
as they lie and no element of either repeated; what 16 tokens leave in the lanes is added up once a split. Of numbers
with scales the weights are multiplied by those of their tokens, group of dimensions by group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, Register, broadcast, cast, const, f32, fma, i64

LANES = 16


@dataclass(frozen=True)
class KeyPages:
    """The keys of a split, as a kernel reads them.

    Attributes:
        address: where page p begins.
        load: a vector of numbers, f32.
        scales: of the tokens of a page that begins there, for a group of dimensions; None: numbers have none.
        dims: of a group.
    """

    address: Callable[[Expr], Expr]
    load: Callable[[Expr, int], Expr]
    scales: Callable[[Expr, Expr], Expr] | None
    dims: int


@dataclass(frozen=True)
class Places:
    """Where things are in scratch, in floats: weights of row r and page p, outputs of row r, and LANES * LANES for each
    row that is taken at once."""

    weights: Callable[[Expr, Expr], Expr]
    outputs: Callable[[Expr], Expr]
    lanes: Expr


def latent_values(
    k: Kernel, memory: Memory, keys: KeyPages, places: Places, *, rows: tuple[Expr, int], columns: int, wide: int,
    full: Expr, pages: Expr, left: Expr,
) -> None:  # fmt: skip
    """Outputs of some rows.

    Args:
        rows: the first, and how many.
        columns: of an output, a multiple of LANES.
        wide: dimensions whose sums fit the registers beside each other, a power of two.
        full: pages whose slots all count; of those from there to `pages` (one, if there is one) the first `left`
            slots: others may hold anything, NaN too.
    """
    r0, count = rows
    assert columns % LANES == 0
    assert LANES % wide == 0

    def add(sums: list[list[Register]], d: Expr, p: Expr, seen: Expr | None) -> None:
        address = keys.address(p)
        scale = keys.scales(address, tirx.floordiv(d, i64(keys.dims))) if keys.scales is not None else None
        numbers = []
        for c in range(wide):
            number = keys.load(address + (d + c) * LANES, LANES)
            numbers.append(k.let(number if seen is None else tirx.Select(seen, number, f32(0.0, LANES)), "key"))
        if scale is not None and seen is not None:
            scale = k.let(tirx.Select(seen, scale, f32(0.0, LANES)), "scale")
        for i, row in enumerate(sums):
            weight = k.let(memory.load(places.weights(r0 + i, p), LANES), "weight")
            if scale is not None:
                weight = k.let(weight * scale, "weight")
            for total, number in zip(row, numbers, strict=True):
                total.set(fma(number, weight, total.get(), LANES))

    with k.loop(0, i64(columns // LANES)) as block:
        with k.loop(0, i64(LANES // wide)) as some:
            d = k.let(block * LANES + some * wide, "d")
            sums = [[k.register("float32", LANES, f32(0.0, LANES)) for _ in range(wide)] for _ in range(count)]
            with k.loop(0, full) as p:
                add(sums, d, p, None)
            with k.loop(full, pages) as p:
                lanes = tirx.Ramp(const("int32", 0), const("int32", 1), LANES)
                add(sums, d, p, lanes < broadcast(cast("int32", left), LANES))
            for i, row in enumerate(sums):
                for c, total in enumerate(row):
                    k.store(memory, places.lanes + (i * LANES + some * wide + c) * LANES, total.get())
        for i in range(count):
            vectors = [k.let(memory.load(places.lanes + (i * LANES + c) * LANES, LANES), "lanes") for c in range(LANES)]
            k.store(memory, places.outputs(r0 + i) + block * LANES, _totals(k, vectors))


def _totals(k: Kernel, vectors: list[Expr]) -> Expr:
    """The sum of each of 16 vectors, as one vector: neighbours are added in pairs, four times."""
    while len(vectors) > 1:
        halves = []
        for a, b in zip(vectors[::2], vectors[1::2], strict=True):
            even, odd = (
                tirx.Shuffle([a, b], [const("int32", lane) for lane in range(first, 2 * LANES, 2)]) for first in (0, 1)
            )
            halves.append(k.let(even + odd, "pairs"))
        vectors = halves
    return vectors[0]
