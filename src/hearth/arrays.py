"""Arrays in files of numpy (https://numpy.org/neps/nep-0001-npy-format.html).

What is read may be a stranger's: nothing is unpickled, and memory is taken for what a file holds, not for what it says.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hearth.errors import CorruptFile, StorageError, Unsupported

ARRAY = ".npy"
ARRAYS = ".npz"


def read_array(path: Path) -> NDArray[Any]:
    """The array of a file that `numpy.save` wrote.

    Raises:
        StorageError: it cannot be read. CorruptFile: it is no such file, or damaged.
        Unsupported: it holds anything but numbers.
    """
    with _reading(path), path.open("rb") as file:
        return _array(path, file)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays by name of a file that `numpy.savez` wrote. Raises as `read_array`."""
    found = {}
    with _reading(path), zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                found[name.removesuffix(ARRAY)] = _array(path, file)
    return found


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes arrays by name; where `path` ends in .npy the only one. Raises StorageError."""
    try:
        with path.open("wb") as file:
            if path.suffix.lower() == ARRAY:
                (only,) = arrays.values()
                np.save(file, only)
            else:
                np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise StorageError(f"{path} cannot be written.", why=f"{error.strerror or error}.") from error


def _array(path: Path, file: IO[bytes]) -> NDArray[Any]:
    shape, is_fortran, dtype = _header(file)
    if dtype.hasobject:
        raise Unsupported(
            f"{path} holds Python objects.",
            why="To unpickle them would run what the file says; Hearth unpickles nothing.",
            hint="Save an array of integers or floats.",
        )
    if dtype.kind not in "biuf":
        raise Unsupported(f"{path} holds {dtype}, no numbers.", hint="Save an array of integers or floats.")
    size_bytes = math.prod(shape) * dtype.itemsize
    data = file.read(size_bytes)
    if len(data) < size_bytes:
        raise CorruptFile(
            f"{path} is cut off.", why=f"An array of {shape} has {size_bytes} bytes; {len(data)} are there."
        )
    return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the first axis runs fastest, type. Raises ValueError."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):  # 3.0 is for names of fields that are not ASCII
        raise ValueError(f"its version is {version}")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, is_fortran, dtype = read_header(file)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # numpy lets out whatever Python's own tokenizer and types say of a header
        raise ValueError(f"its header cannot be read ({error})") from error
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, is_fortran, dtype


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, EOFError, OverflowError, MemoryError, zipfile.BadZipFile, zlib.error, NotImplementedError,
            RuntimeError) as error:  # fmt: skip
        raise CorruptFile(
            f"{path} is no file of numpy arrays.",
            why=f"{str(error).rstrip('.')}."[:300],
            hint=f"numpy.save writes {ARRAY} files, numpy.savez {ARRAYS} files.",
        ) from error
    except OSError as error:
        raise StorageError(f"{path} cannot be read.", why=f"{error.strerror or error}.") from error
