"""Where sums of invocations meet: workgroup memory, in two steps whatever the number of invocations."""

from __future__ import annotations

from collections.abc import Sequence

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
            k.store(self._memory, at, self._sum(at, size, self._stride))

    def total(self, register: Expr, place: Expr) -> Expr:
        """The sum of the register so numbered, over the invocations whose index modulo `apart` is `place`."""
        at = self.k.let(register * self._stride + place, "at")
        return self._sum(at, self.apart, self._left * self.apart)

    def _sum(self, at: Expr, step: int, end: int) -> Expr:
        """What lies `step` apart from `at` on, up to `end` behind it."""
        total = self.k.register(self._memory.dtype, self._memory.load(at))
        with self.k.loop(step, end, step) as i:
            total.set(total.get() + self._memory.load(at + i))
        return total.get()
