"""How fast this machine reads memory and multiplies: the ceilings of decoding and of prefill, measured by the runtime's
own thread team."""

from __future__ import annotations

import ctypes
from typing import Literal

from hearth.runtime import binding
from hearth.runtime.model import Model
from hearth.runtime.split import SplitModel
from hearth.runtime.threads import default_threads


def read_bandwidth(
    model: Model | SplitModel, *, threads: int | None = None, size_bytes: int = 512 << 20, rounds: int = 5
) -> list[float]:
    """Reads a buffer in huge pages `rounds` times; bytes a second of each round.

    The code that measures is in a bundle's library, so an open `model` is needed; its weights are not touched.

    Raises:
        NotEnoughMemory: the buffer cannot be had.
        UsageError: a number is out of range.
    """
    library = model.handle().library
    results = (ctypes.c_double * rounds)()
    count = default_threads() if threads is None else threads
    status = library.hearth_read_bandwidth(count, size_bytes, rounds, results)
    binding.check(library, status, "The bandwidth cannot be measured.")
    return list(results)


def compute_peak(
    model: Model | SplitModel, arithmetic: Literal["int8", "float32"], *, threads: int | None = None, rounds: int = 10
) -> list[float]:
    """Multiplies and adds in registers `rounds` times, with the instruction set of the model's kernels; operations a
    second of each round, a multiply and an add being two.

    Args:
        arithmetic: products of bytes summed in integers, or multiply-adds of 32-bit floats.

    Raises:
        UsageError: a number is out of range.
        BundleMismatch: the bundle's library cannot measure it.
    """
    owner = model.handle()
    results = (ctypes.c_double * rounds)()
    count = default_threads() if threads is None else threads
    kind = ("int8", "float32").index(arithmetic)
    status = owner.library.hearth_compute_peak(owner.pointer, kind, count, rounds, results)
    binding.check(owner.library, status, "The compute peak cannot be measured.")
    return list(results)
