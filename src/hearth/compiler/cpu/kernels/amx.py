"""Intel's AMX: products of tiles of 16 rows by 64 bytes with tiles of 64 bytes by 16 columns, one instruction each.

A tile of weights is 16 consecutive quad vectors of a packed block, as they lie there. Four tiles of sums are held at a
time, for two tiles of activations and two blocks of weight rows, so each operand that is loaded is used twice.

The shapes of the tile registers are state of a thread: whoever computes configures them, and leaves none behind. That a
process may use them at all is asked of the operating system when a library is opened (runtime/csrc/cpu.c).
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, cast, const, i64
from hearth.compiler.cpu.kernels.tiles import LANES, QUAD_BYTES, SUMS_BYTES, UNIT_COLUMNS, Operands

TILE_ROWS = 16
STEP_BYTES = 64
FEW_ROWS = 4
"""Up to so many rows of activations vectors are as fast, and need no tiles."""

_CONFIG, _STARTS = SUMS_BYTES, SUMS_BYTES + 64
"""Byte offsets in scratch: the configuration, and for each block of weight rows what its sums begin at."""
SUMS, A, B = (0, 1, 2, 3), (4, 5), (6, 7)
"""Tile registers: sums [half of the rows][block], activations [half], weights [block]."""


@dataclass(frozen=True)
class Halves:
    """How the rows of a tile divide: `first` and `second`, which may be 0, and the bytes of a step along K."""

    first: Expr
    second: Expr
    step: Expr


def configure(k: Kernel, count: Expr, quads: Expr) -> Halves:
    """Shapes the registers of this thread for `count` rows, 1 to 32, of so many quads.

    K is a multiple of 32; where it is none of 64, each tile has half a line of it.
    """
    whole = tirx.EQ(tirx.truncmod(quads, i64(16)), i64(0))
    step = k.let(tirx.Select(whole, i64(STEP_BYTES), i64(STEP_BYTES // 2)), "step")
    first = k.let(tirx.Select(count > i64(TILE_ROWS), tirx.truncdiv(count + 1, i64(2)), count), "first")
    second = k.let(count - first, "second")
    shape(k, _CONFIG, first, second, step)
    return Halves(first, second, step)


def shape(k: Kernel, at: int, first: Expr, second: Expr, step: Expr) -> None:
    """Shapes the registers of this thread: `SUMS`, `A` for halves of so many rows, and `step` bytes of each along K.

    Args:
        at: byte offset in scratch of 64 bytes for the configuration.
    """
    bytes_, words = k.scratch("uint8"), k.scratch("uint16")
    k.store(bytes_, i64(at), const("uint8", 0, 64))
    k.store(bytes_, i64(at), const("uint8", 1))  # the palette
    # A register that is not used has a shape all the same: one of no rows would be none.
    rows = [tirx.max(first, i64(1)), tirx.max(second, i64(1))]
    for register, height, width in (
        *((SUMS[2 * half + block], rows[half], i64(QUAD_BYTES)) for half in (0, 1) for block in (0, 1)),
        *((A[half], rows[half], step) for half in (0, 1)),
        *((register, tirx.truncdiv(step, i64(4)), i64(QUAD_BYTES)) for register in B),
    ):
        k.store(words, i64(at // 2 + 8 + register), cast("uint16", width))
        k.store(bytes_, i64(at + 48 + register), cast("uint8", height))
    _emit(k, "ldtilecfg", _address(bytes_, i64(at)))


def release(k: Kernel) -> None:
    _emit(k, "tilerelease")


def compute(k: Kernel, halves: Halves, x: Operands) -> None:
    """Sums of the rows that the registers are configured for, with two blocks of weight rows.

    Activations are unsigned bytes, as for the vectors of these processors.
    """
    for block in range(len(x.blocks)):
        k.store(x.sums, i64(_STARTS // 4 + block * LANES), x.start(block, 0, LANES))
    for half, used in ((0, (0,)), (1, (0, 1))):
        # Two pieces of code: for one tile of activations, and for two.
        with k.when(tirx.EQ(halves.second, i64(0)) if half == 0 else halves.second > i64(0)):
            _multiply(k, halves, x, used)


def _multiply(k: Kernel, halves: Halves, x: Operands, used: tuple[int, ...]) -> None:
    bytes_ = k.view(x.activations, "int8")
    kp = k.let(x.quads * 4, "kp")
    begins = [k.let((x.word * 4) + half * halves.first * kp, "rows") for half in used]
    pairs = [(half, block) for half in range(len(used)) for block in range(len(x.blocks))]
    for half, block in pairs:
        # The same line for every row of the tile.
        load(k, SUMS[2 * half + block], x.sums, i64(_STARTS // 4 + block * LANES), i64(0))
    with k.loop(0, tirx.truncdiv(kp, halves.step)) as step:
        at = k.let(step * halves.step, "at")
        x.ahead(tirx.truncdiv(at, i64(4)), STEP_BYTES // 4)
        for half, begin in enumerate(begins):
            load(k, A[half], bytes_, begin + at, kp)
        for block, base in enumerate(x.blocks):
            load(k, B[block], x.weights, base + at * LANES, i64(QUAD_BYTES))
        for half, block in pairs:
            multiply(k, half, block)
    for half, block in pairs:
        to = half * halves.first * UNIT_COLUMNS + block * LANES
        store(k, SUMS[2 * half + block], x.sums, to if half else i64(block * LANES), i64(4 * UNIT_COLUMNS))


def multiply(k: Kernel, half: int, block: int) -> None:
    """SUMS of a half and a block += A of the half, unsigned bytes, times B of the block, signed ones."""
    names = (SUMS[2 * half + block], A[half], B[block])
    _emit(k, "tdpbusd", *(const("int8", name) for name in names))


def load(k: Kernel, register: int, memory: Memory, index: Expr, stride: Expr) -> None:
    """A register from rows that lie `stride` bytes apart."""
    _emit(k, "tileloadd64", const("int8", register), _address(memory, index), stride)


def store(k: Kernel, register: int, memory: Memory, index: Expr, stride: Expr) -> None:
    _emit(k, "tilestored64", const("int8", register), _address(memory, index), stride)


def _address(memory: Memory, index: Expr) -> Expr:
    return tirx.address_of(memory.load(index))


def _emit(k: Kernel, name: str, *args: Expr) -> None:
    k.emit(tirx.Evaluate(tirx.call_llvm_intrin("void", f"llvm.x86.{name}", *args)))
