"""Where sums of invocations meet: workgroup memory, in two steps whatever the number of invocations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, Memory, Register, div, mod


class Meeting:
    """Sums over the invocations of a workgroup that are `apart` from each other, of several registers at once.

    Each step adds so many partial sums in their order, so results depend on nothing but the values.
    """

    def __init__(self, k: GpuKernel, registers: Sequence[Register], dtype: str, apart: int) -> None:
        """Declares the memory and puts there what each invocation has."""
        self.k, self.apart = k, apart
        self._stride, self._count = k.threads, len(registers)
        self._memory: Memory = k.workgroup(k.threads * len(registers), dtype, "sums")
        self.put(registers)
        parts = k.threads // apart
        self._left = 1 << (parts.bit_length() - 1) // 2  # partial sums that are left for the second step

    def put(self, registers: Sequence[Register]) -> None:
        """What each invocation has, in place of what was there."""
        assert len(registers) == self._count
        for i, register in enumerate(registers):
            self.k.store(self._memory, i * self._stride + self.k.thread, register.get())

    def fold(self) -> None:
        """The first step, between two barriers."""
        k = self.k
        size = self._left * self.apart
        with k.loop(k.thread, size * self._count, k.threads) as i:
            at = k.let(div(i, size) * self._stride + mod(i, size), "at")
            partial = [self._memory.load(at + step) for step in range(0, self._stride, size)]
            k.store(self._memory, at, reduce(lambda a, b: a + b, partial))

    def total(self, register: Expr, place: Expr) -> Expr:
        """The sum of the register so numbered, over the invocations whose index modulo `apart` is `place`."""
        at = self.k.let(register * self._stride + place, "at")
        partial = [self._memory.load(at + step) for step in range(0, self._left * self.apart, self.apart)]
        return self.k.let(reduce(lambda a, b: a + b, partial), "total")
