"""KV pages as docs/architecture.md lays them out, written and read by numpy: on purpose apart from the product."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.compiler.kernel_library import guarded

PAGE = 16


class KvPages:
    """Keys or values ("k", "v") of some pages: float16, float32, or int8 with f16 scales behind each block.

    Attributes:
        memory: what kernels get, guarded.
        numbers: its numbers, (page, kv head, slot, dimension).
        scales: (page, kv head, slot, group of dimensions), where the pages are int8.
    """

    def __init__(self, kind: str, dtype: str, pages: int, kv_heads: int, hp: int, fill: Any = None) -> None:
        size = hp * PAGE
        self.dtype, self.hp = dtype, hp
        self.groups = (hp // (32 if hp % 32 == 0 else 16) if kind == "k" else 1) if dtype == "int8" else 0
        item = 1 if dtype == "int8" else np.dtype(dtype).itemsize
        self.memory = guarded((pages, kv_heads, size + 2 * PAGE * self.groups // item), dtype, fill)
        if dtype == "int8" and fill is None:
            self.memory.view(np.uint8)[...] = 0xFF  # -1, and NaN as a scale
        numbers = self.memory[..., :size]
        shape = (hp, PAGE) if kind == "k" else (PAGE, hp)
        self.numbers = numbers.reshape(pages, kv_heads, *shape)
        if kind == "k":
            self.numbers = self.numbers.swapaxes(-1, -2)
        if self.groups:
            scales = self.memory[..., size:].view(np.float16)
            self.scales = scales.reshape(pages, kv_heads, self.groups, PAGE).swapaxes(-1, -2)
        assert np.shares_memory(self.numbers, self.memory)

    def write(self, page: int, slot: int, values: NDArray[np.float32]) -> None:
        """One token's values, (kv head, hp)."""
        if not self.groups:
            self.numbers[page, :, slot] = values
            return
        grouped = values.reshape(len(values), self.groups, -1)
        scales = (np.abs(grouped).max(axis=-1) / 127).astype(np.float16)
        inverse = 1 / np.maximum(scales.astype(np.float32), 1e-8)
        self.scales[page, :, slot] = scales
        integers = np.rint(grouped * inverse[..., None]).clip(-127, 127)
        self.numbers[page, :, slot] = integers.reshape(values.shape)

    def read(self, page: int, slot: int) -> NDArray[np.float32]:
        """One token's values as a kernel sees them, (kv head, hp)."""
        numbers = self.numbers[page, :, slot].astype(np.float32)
        if not self.groups:
            return numbers
        return numbers * self.steps(page, slot)

    def steps(self, page: int, slot: int) -> NDArray[np.float32]:
        """The distance between the numbers that int8 can hold there, (kv head, hp)."""
        return self.scales[page, :, slot].astype(np.float32).repeat(self.hp // self.groups, axis=-1)
