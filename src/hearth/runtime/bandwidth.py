"""How fast this machine reads memory: the ceiling of decoding, measured by the runtime's own thread team."""

from __future__ import annotations

import ctypes

from hearth.runtime import binding
from hearth.runtime.model import Model
from hearth.runtime.threads import default_threads


def read_bandwidth(
    model: Model, *, threads: int | None = None, size_bytes: int = 512 << 20, rounds: int = 5
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
