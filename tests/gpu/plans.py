"""Runs a function of a GPU plan step after step: memory in numpy, kernels on the software adapter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.gpu.adapter import run_kernel

from hearth.compiler.gpu.lowering import GpuLowered
from hearth.compiler.plan import ARENA, CONSTANT, DTYPES, INPUT, SYMBOL, WEIGHT, Plan, Step

_BINARY = {2: lambda a, b: a + b, 3: lambda a, b: a * b, 4: lambda a, b: a // b, 5: min, 6: max}
_TYPES = {DTYPES["float32"]: np.float32, DTYPES["int32"]: np.int32}


def scalars_of(plan: Plan, symbols: Mapping[str, int]) -> list[int]:
    """The values of a plan's scalars."""
    names, values = list(plan.symbols), []
    for scalar in plan.scalars:
        if scalar.op == CONSTANT:
            values.append(scalar.value)
        elif scalar.op == SYMBOL:
            values.append(symbols[names[scalar.a]])
        else:
            values.append(_BINARY[scalar.op](values[scalar.a], values[scalar.b]))
        assert scalar.low <= values[-1] <= scalar.high
    return values


class PlanRun:
    """One call of the plan's only function.

    Attributes:
        ran: names of the kernels that had units, in order.
        results: outputs by name.
    """

    def __init__(
        self,
        lowered: GpuLowered,
        weights: Mapping[str, NDArray[np.uint8]],
        inputs: Mapping[str, NDArray[Any]],
        symbols: Mapping[str, int],
    ) -> None:
        self.plan, self.inputs = lowered.plan, {n: v.reshape(-1).view(np.uint8).copy() for n, v in inputs.items()}
        self.kernels = {kernel.name: kernel for kernel in lowered.kernels if kernel.features.name == "core"}
        self.weights, self.ran = weights, list[str]()
        self.scalars = scalars_of(self.plan, symbols)
        self.arenas = [np.full(self.plan.arena_bytes, 0xFF, np.uint8) for _ in range(8)]  # every float is NaN
        for step in self.plan.steps:
            self._step(step)
        self.results = {output.name: self._output(output) for output in self.plan.outputs}

    def _memory(self, number: int) -> NDArray[np.uint8]:
        """The bytes of a buffer, a view."""
        buffer = self.plan.buffers[number]
        if buffer.kind == ARENA:
            return self.arenas[buffer.index][buffer.offset : buffer.offset + buffer.size]
        if buffer.kind == WEIGHT:
            return self.weights[self.plan.weights[buffer.index][0]][buffer.offset : buffer.offset + buffer.size]
        assert buffer.kind == INPUT
        return self.inputs[self.plan.inputs[buffer.index].name]

    def _step(self, step: Step) -> None:
        units = self.scalars[step.units]
        if not units:
            return
        self.ran.append(step.kernel)
        buffers = [self._memory(number) for number in step.buffers]
        results = run_kernel(self.kernels[step.kernel], buffers, [self.scalars[i] for i in step.scalars], units)
        for memory, result in zip(buffers, results, strict=True):
            memory[:] = result

    def _output(self, output: Any) -> NDArray[Any]:
        rows, *columns = (self.scalars[i] for i in output.dims)
        stride = self.scalars[output.row_stride] if columns else 1
        dtype = _TYPES[output.dtype]
        values = self._memory(output.buffer).view(dtype)[: rows * stride].reshape(rows, stride)
        return np.array(values[:, : columns[0]] if columns else values[:, 0])
