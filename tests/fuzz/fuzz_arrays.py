"""Files of numpy: the header, the numbers behind it, the archive of several."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hearth.arrays import read_array, read_arrays

from .harness import Target, main
from .mutation import Mutator


def make(mutator: Mutator) -> tuple[str, bytes]:
    array = mutator.choice(
        (np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 4)), np.array(7), np.array([{"a": 1}]),
         np.asfortranarray(np.eye(3, dtype=np.int8)), np.array(["ab", "c"]), np.zeros(3, [("a", "<i4")]))
    )  # fmt: skip
    file = io.BytesIO()
    if mutator.one_in(2):
        np.save(file, array, allow_pickle=True)
        return "a.npy", mutator.bytes(file.getvalue())
    np.savez(file, a=array, b=np.ones(2))
    return "a.npz", mutator.bytes(file.getvalue())


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[tuple[str, bytes]], None]]:
    def run(content: tuple[str, bytes]) -> None:
        name, data = content
        path = folder / name
        path.write_bytes(data)
        arrays = [read_array(path)] if path.suffix == ".npy" else read_arrays(path).values()
        for array in arrays:
            assert array.dtype.kind in "biuf"
            assert array.nbytes <= 1 << 20

    yield run


TARGET = Target("arrays", make, opened)

if __name__ == "__main__":
    main(TARGET)
