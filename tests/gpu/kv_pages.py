"""KV pages in the order of GPUs, written and read by numpy: on purpose apart from the product."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PAGE = 16
_ITEM = {"float32": 4, "float16": 2, "int8": 1}


class KvPages:
    """Keys or values ("k", "v") of some pages; what was never written is NaN.

    Attributes:
        memory: what kernels get, u32.
    """

    def __init__(self, kind: str, dtype: str, pages: int, kv_heads: int, hp: int) -> None:
        self.kind, self.dtype, self.hp = kind, dtype, hp
        size = hp * PAGE * _ITEM[dtype]
        self.groups = (hp // (32 if hp % 32 == 0 else 16) if kind == "k" else 1) if dtype == "int8" else 0
        self.bytes = np.full((pages, kv_heads, size + 2 * PAGE * self.groups), 0xFF, np.uint8)
        self._numbers_size = size

    @property
    def memory(self) -> NDArray[np.uint32]:
        return self.bytes.view(np.uint32)

    @memory.setter
    def memory(self, words: NDArray[np.uint32]) -> None:
        self.bytes = words.reshape(self.memory.shape).view(np.uint8)

    def numbers(self) -> NDArray[Any]:
        """(page, kv head, slot, hp), a view."""
        pages, heads = self.bytes.shape[:2]
        numbers = self.bytes[..., : self._numbers_size].view(self.dtype)
        if self.kind == "v":
            return numbers.reshape(pages, heads, PAGE, self.hp)
        return numbers.reshape(pages, heads, self.hp // 4, PAGE, 4).swapaxes(2, 3)

    def scales(self) -> NDArray[np.float16]:
        """(page, kv head, slot, group of dimensions), a view."""
        pages, heads = self.bytes.shape[:2]
        scales = self.bytes[..., self._numbers_size :].view(np.float16)
        return scales.reshape(pages, heads, self.groups, PAGE).swapaxes(2, 3)

    def write(self, page: int, slot: int, values: NDArray[np.float64]) -> None:
        """One token's values, (kv head, hp)."""
        shape = self.numbers()[page, :, slot].shape
        if self.groups:
            grouped = values.reshape(len(values), self.groups, -1)
            scales = (np.abs(grouped).max(axis=-1) / 127).astype(np.float16)
            self.scales()[page, :, slot] = scales
            values = np.rint(grouped / scales.astype(np.float32)[..., None]).clip(-127, 127)
        self.numbers()[page, :, slot] = values.reshape(shape).astype(self.dtype)

    def read(self, page: int, slot: int) -> NDArray[np.float32]:
        """One token's values as a kernel sees them, (kv head, hp)."""
        numbers = self.numbers()[page, :, slot].reshape(-1, self.hp).astype(np.float32)
        if not self.groups:
            return numbers
        return numbers * self.scales()[page, :, slot].astype(np.float32).repeat(self.hp // self.groups, axis=-1)
