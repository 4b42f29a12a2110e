"""Recurrent layers: all steps of one batch element, one after the other, in one unit.

What the inputs give to the gates is computed before, for all steps at once; here the state's part is added. A step
reads the state that the step before has written, so nothing is copied.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels import vmath
from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, Register, broadcast, fma, i64

LANES = 16


@dataclass(frozen=True)
class RecurrentSpec:
    """Which layer: a cell of `model/ops.py` and its number of gates; whether the last step comes first."""

    cell: str
    gates: int
    reverse: bool

    @property
    def name(self) -> str:
        return f"recurrent_{self.cell}{'_reverse' if self.reverse else ''}"


def recurrent(spec: RecurrentSpec) -> Kernel:
    """Buffers: Z f32 [step][batch][gate][ld], R f32 [k][gate][ld], bias f32 [gate][ld], H f32 [batch][ld], for an LSTM
    C f32 [batch][ld]; Y f32 [step][batch][ld], for an LSTM the last C. Scalars: steps, batch, size (true columns), ld.
    Unit: batch element."""
    k = Kernel(spec.name)
    z, r, bias, h0 = (k.buffer(name, "float32") for name in ("Z", "R", "bias", "H"))
    is_lstm = spec.cell == "lstm"
    c0 = k.buffer("C", "float32") if is_lstm else None
    y = k.buffer("Y", "float32")
    memory = k.buffer("memory", "float32") if is_lstm else None
    steps, batch, size, ld = (k.scalar(name) for name in ("steps", "batch", "size", "ld"))
    scratch = k.scratch("float32") if spec.cell == "gru_reset_before" else None
    with k.loop(k.begin, k.end) as b:
        if c0 is not None and memory is not None:
            with k.loop(0, ld, LANES) as j:
                k.store(memory, b * ld + j, c0.load(b * ld + j, LANES))
        with k.loop(0, steps) as count:
            t = k.let(steps - 1 - count if spec.reverse else count, "t")
            row = k.opaque((t * batch + b) * ld, "row")
            before = k.opaque(row + batch * ld if spec.reverse else row - batch * ld, "before")
            # The first step reads the state that was given, the others what the step before has written.
            for is_first, state, at in ((True, h0, b * ld), (False, y, before)):
                condition = tirx.EQ(count, i64(0)) if is_first else count > i64(0)
                with k.when(condition):
                    _Step(k, spec, z, r, bias, state, k.opaque(at, "at"), memory, scratch, size, ld).run(
                        y, row, k.opaque(row * spec.gates, "inputs"), b
                    )
    return k


@dataclass(frozen=True)
class _Step:
    """One step: `state` holds at `at` the state before."""

    k: Kernel
    spec: RecurrentSpec
    z: Memory
    r: Memory
    bias: Memory
    state: Memory
    at: Expr
    memory: Memory | None
    scratch: Memory | None
    size: Expr
    ld: Expr

    def run(self, y: Memory, row: Expr, inputs: Expr, b: Expr) -> None:
        k, ld = self.k, self.ld
        if self.scratch is not None:  # the reset gate meets the state before the product
            with k.loop(0, ld, LANES) as j:
                (reset,) = self.gates(j, (1,), self.state, self.at)
                gate = vmath.sigmoid(k, self.z.load(inputs + ld + j, LANES) + reset.get(), LANES)
                k.store(self.scratch, j, gate * self.state.load(self.at + j, LANES))
        with k.loop(0, ld, LANES) as j:
            k.store(y, row + j, k.let(self.after(j, inputs, b), "after"))

    def gates(self, j: Expr, which: tuple[int, ...], state: Memory, at: Expr) -> list[Register]:
        """The state's part of 16 elements of gates."""
        k, ld, count = self.k, self.ld, self.spec.gates
        totals = [k.register("float32", LANES, self.bias.load(ld * g + j, LANES)) for g in which]
        with k.loop(0, self.size) as i:
            element = k.let(broadcast(state.load(at + i), LANES), "element")
            for g, total in zip(which, totals, strict=True):
                weight = self.r.load((i * count + g) * ld + j, LANES)
                total.set(fma(element, weight, total.get(), LANES))
        return totals

    def after(self, j: Expr, inputs: Expr, b: Expr) -> Expr:
        """16 elements of the new state."""
        k, cell, ld = self.k, self.spec.cell, self.ld

        def given(g: int) -> Expr:
            return self.z.load(inputs + ld * g + j, LANES)

        def sigmoid(x: Expr) -> Expr:
            return k.let(vmath.sigmoid(k, x, LANES), "gate")

        def tanh(x: Expr) -> Expr:
            return k.let(vmath.tanh(k, x, LANES), "tanh")

        if cell == "lstm" and self.memory is not None:
            i, o, f, new = (
                k.let(part.get() + given(g), "part")
                for g, part in enumerate(self.gates(j, (0, 1, 2, 3), self.state, self.at))
            )
            kept = self.memory.load(b * ld + j, LANES)
            c = k.let(sigmoid(f) * kept + sigmoid(i) * tanh(new), "c")
            k.store(self.memory, b * ld + j, c)
            return sigmoid(o) * tanh(c)
        if cell.startswith("gru"):
            if self.scratch is not None:
                (update,) = self.gates(j, (0,), self.state, self.at)
                (fresh,) = self.gates(j, (2,), self.scratch, i64(0))
                part = fresh.get()
            else:
                update, reset, fresh = self.gates(j, (0, 1, 2), self.state, self.at)
                part = sigmoid(given(1) + reset.get()) * fresh.get()
            keep = sigmoid(given(0) + update.get())
            new = tanh(given(2) + part)
            return new + keep * (self.state.load(self.at + j, LANES) - new)
        (only,) = self.gates(j, (0,), self.state, self.at)
        total = k.let(given(0) + only.get(), "total")
        return tanh(total) if cell == "tanh" else vmath.relu(k, total, LANES)
