"""What a product is, and what becomes of its sums: bias, scale, residual, activation, gate, soft cap, largest logit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tvm import tirx

from hearth.compiler.gpu.kernels import vmath
from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, Memory, bitcast, div, dot, f32, i32, lane, vector
from hearth.compiler.physical import in_name
from hearth.quant.formats import LANES, PLANE_COLUMNS, Format

QUARTERS = 4
"""Vectors of 4 outputs in a block of 16."""
_LEAST = -3.4e38


@dataclass(frozen=True)
class Carried:
    """Activations that are a residual and scale times the norm of a product: the only row of a call, which this product
    makes on the way, rather than a step before it.

    Attributes:
        epsilon: of the norm.
        stores: whether it also leaves them in memory, for those who read them later.
    """

    epsilon: float
    scale: float = 1.0
    stores: bool = True

    @property
    def name(self) -> str:
        scale = [] if self.scale == 1.0 else [f"s{in_name(self.scale)}"]
        return "_".join(["carried", in_name(self.epsilon), *scale, *([] if self.stores else ["unstored"])])


@dataclass(frozen=True)
class ProductSpec:
    """Which product.

    Attributes:
        bias: adds a vector f32 [padded N].
        epilogue: `store`; `add`: Y = residual + scale * product; `activate`: Y = act(product); `gated`: rows of the
            weight are blocks of gate and up in turn, Y = act(gate) * up; `logits`: scale and soft-cap, and for each
            block of 16 logits of a row the largest and where it stands.
        activation: of `activate` and `gated`, by its name in `vmath.ACTIVATIONS`.
        scale: multiplies the product before the residual is added, or the logits.
        softcap: of logits: cap * tanh(x / cap); 0: none.
        after: activation of what `add` gives; "": none.
        norm: epsilon of an RMS norm of the activations, whose factor the sums are multiplied by; None: there is none.
        gather: rows of the activations are given by numbers.
    notes_squares: of `store`: also the sum of the squares of each 16 outputs of a row, for a norm of these.
    carried: what the activations are of, where that is not in memory yet; None: they are.
        tail: K is no multiple of 32, so that what lies behind a row's columns must be kept out.
    """

    fmt: Format
    bias: bool = False
    epilogue: Literal["store", "add", "activate", "gated", "logits"] = "store"
    activation: str = ""
    scale: float = 1.0
    softcap: float = 0.0
    after: str = ""
    norm: float | None = None
    gather: bool = False
    notes_squares: bool = False
    carried: Carried | None = None
    tail: bool = False

    @classmethod
    def has_tail(cls, columns: int) -> bool:
        """What `tail` is for so many columns."""
        return columns % PLANE_COLUMNS != 0

    @property
    def parts(self) -> int:
        """Blocks of weight rows that a block of outputs is made of."""
        return 2 if self.epilogue == "gated" else 1

    @property
    def name(self) -> str:
        parts = [self.fmt.kernel_layout, self.epilogue]
        if self.activation:
            parts.append(self.activation)
        if self.bias:
            parts.append("bias")
        if self.scale != 1.0:
            parts.append(f"s{in_name(self.scale)}")
        if self.softcap:
            parts.append(f"cap{in_name(self.softcap)}")
        if self.after:
            parts.append(f"after_{self.after}")
        if self.norm is not None:
            parts.append(f"norm{in_name(self.norm)}")
        if self.gather:
            parts.append("gather")
        if self.notes_squares:
            parts.append("squares")
        if self.carried:
            parts.append(self.carried.name)
        if self.tail:
            parts.append("tail")
        return "_".join(parts)


class Output:
    """Where finished sums go: 4 neighbouring outputs of a row at a time.

    Buffers: [bias f32x4 [N / 4]]; [residual f32x4]; Y f32x4 [m][ldy / 4]; for logits largest i32 [m][blocks of all
    logits][2]: the bits of the largest of each block, and its place; with `notes_squares` f32 [m][blocks of all].
    Scalars: ldy: elements from one row of Y (and of the residual) to the next; first: the block of 16 outputs that the
    weight's first rows are for, where this is a part of a larger weight; for logits and squares n: how many outputs
    there are in a row, of all parts.
    """

    def __init__(self, k: GpuKernel, spec: ProductSpec) -> None:
        """Declares the buffers; `scalars` the scalars."""
        self.k, self.spec = k, spec
        self.bias: Memory | None = k.buffer("bias", "float32x4") if spec.bias else None
        self.bias_first: Expr = i32(0)  # blocks of 16 before those of the matrix, where there are several
        self.residual: Memory | None = k.buffer("residual", "float32x4") if spec.epilogue == "add" else None
        self.y = k.buffer("Y", "float32x4")
        if spec.epilogue == "logits":
            self.largest = k.buffer("largest", "int32")
        if spec.notes_squares:
            self.squares = k.buffer("squares", "float32")

    def scalars(self) -> None:
        self.ldy, self.first = self.k.scalar("ldy"), self.k.scalar("first")
        if self.spec.epilogue == "logits" or self.spec.notes_squares:
            self.n = self.k.scalar("n")

    def place(self, row: Expr, block: Expr) -> Expr:
        """Among those of a number for each block."""
        return self.k.let(row * div(self.n + (LANES - 1), LANES) + self.first + block, "at")

    def store(self, row: Expr, block: Expr, quarter: Expr, sums: list[Expr]) -> Expr:
        """Stores outputs 16 * block + 4 * quarter on of a row.

        Args:
            block: among those of this part.
            sums: `ProductSpec.parts` vectors.

        Returns:
            What was stored.
        """
        k, spec = self.k, self.spec
        block = k.let(self.first + block, "block")
        values = [self._biased(total, block * spec.parts + part, quarter) for part, total in enumerate(sums)]
        value = values[0]
        at = k.let(row * div(self.ldy, 4) + block * QUARTERS + quarter, "at")
        if spec.scale != 1.0:
            value = value * f32(spec.scale, 4)
        if spec.softcap:
            value = vmath.softcap(k, value, spec.softcap, 4)
        if spec.activation:
            value = vmath.ACTIVATIONS[spec.activation](k, value, 4)
        if spec.epilogue == "gated":
            value = value * values[1]
        if self.residual is not None:
            value = self.residual.load(at) + value
        if spec.after:
            value = vmath.ACTIVATIONS[spec.after](k, value, 4)
        value = k.let(value, "y")
        k.store(self.y, at, value)
        return value

    def _biased(self, value: Expr, block: Expr, quarter: Expr) -> Expr:
        if self.bias is None:
            return value
        return value + self.bias.load((self.bias_first + block) * QUARTERS + quarter)


class Largest:
    """The largest of a row's logits that an invocation has seen and where it stands, the first of equals."""

    def __init__(self, k: GpuKernel, output: Output) -> None:
        self.k, self.output = k, output
        self.value, self.place = k.register("float32", f32(_LEAST)), k.register("int32", i32(0))

    def see(self, block: Expr, quarter: Expr, values: Expr) -> None:
        """4 logits, in order; what stands behind the last one of all does not count."""
        column = self.k.let((self.output.first + block) * LANES + quarter * 4, "column")
        for i in range(4):
            with self.k.when(tirx.And(column + i < self.output.n, lane(values, i) > self.value.get())):
                self.value.set(lane(values, i))
                self.place.set(column + i)

    def store(self, row: Expr, block: Expr) -> None:
        k, output = self.k, self.output
        at = output.place(row, block)
        k.store(output.largest, at * 2, bitcast("int32", self.value.get()))
        k.store(output.largest, at * 2 + 1, self.place.get())


class BlockSquares:
    """Sums of the squares of blocks: invocations note those of quarters, for others to add them up behind a barrier."""

    def __init__(self, k: GpuKernel, output: Output, count: int) -> None:
        self.k, self.output = k, output
        self._quarters = k.workgroup(count, "float32", "squares")

    def note(self, at: Expr, block: Expr, quarter: Expr, values: Expr) -> None:
        """4 outputs; what stands behind the last one of all does not count."""
        k, output = self.k, self.output
        column = k.let((output.first + block) * LANES + quarter * 4, "column")
        counted = vector(*(tirx.Select(column + i < output.n, lane(values, i), f32(0.0)) for i in range(4)))
        counted = k.let(counted, "counted")
        k.store(self._quarters, at, dot(counted, counted))

    def store(self, start: Expr, row: Expr, block: Expr) -> None:
        """Of the quarters that are noted from `start` on."""
        total = self.k.register("float32", self._quarters.load(start))
        for i in range(1, QUARTERS):
            total.set(total.get() + self._quarters.load(start + i))
        self.k.store(self.output.squares, self.output.place(row, block), total.get())


class Noted:
    """What invocations have seen, noted in workgroup memory for those that compare it behind a barrier."""

    def __init__(self, k: GpuKernel, output: Output, count: int) -> None:
        self.k, self.output = k, output
        self._values, self._places = k.workgroup(count, "float32", "largest"), k.workgroup(count, "int32", "places")

    def note(self, at: Expr, largest: Largest) -> None:
        self.k.store(self._values, at, largest.value.get())
        self.k.store(self._places, at, largest.place.get())

    def meet(self, start: Expr, count: int) -> Largest:
        """The largest of `count` notes, which are in the order of what they have seen."""
        met = Largest(self.k, self.output)
        for i in range(count):
            with self.k.when(self._values.load(start + i) > met.value.get()):
                met.value.set(self._values.load(start + i))
                met.place.set(self._places.load(start + i))
        return met
