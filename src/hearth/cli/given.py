"""The inputs of a graph on the command line: arrays in files, pictures, random numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hearth.cli.show_graph import shape_text
from hearth.errors import StorageError, UsageError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hearth import Graph
    from hearth.runtime import TensorInfo

Arrays = dict[str, "NDArray[Any]"]
_OF_PICTURES = ("f32", "u8")


@dataclass(frozen=True)
class Given:
    """A file that was named, and for which input; "" where that was not said."""

    name: str
    path: Path

    @classmethod
    def of(cls, text: str) -> Given:
        """Reads NAME=FILE or FILE. Raises StorageError where there is no such file."""
        name, is_, file = text.partition("=")
        given = cls(name, Path(file)) if is_ and not Path(text).exists() else cls("", Path(text))
        if not given.path.is_file():
            raise StorageError(f"{given.path} cannot be read.", why="There is no such file.")
        return given


def read_inputs(graph: Graph, files: Sequence[Given], colours: str | None, beside: Path) -> Arrays:
    """The arrays that files hold, by the inputs that they are for.

    Args:
        colours: what is taken of a picture, one of `image.tensor.COLOURS`; None: as a file in the folder `beside` says.

    Raises:
        UsageError: a name is no input's, or given twice; a file is for none, or of another type.
        StorageError, CorruptFile, Unsupported: as reading arrays and pictures.
    """
    found: Arrays = {}
    for file in files:
        for name, array in _read(graph, file, colours, beside).items():
            if name in found:
                raise UsageError(f"The input {name} is given twice.", hint="Name one file for it.")
            found[_known(graph, name)] = array
    return found


def _known(graph: Graph, name: str) -> str:
    if name not in graph.inputs:
        likely = [other for other in graph.inputs if other.lower() == name.lower()]
        raise UsageError(f"The graph has no input {name!r}.", why=_takes(graph), hint=did_you_mean(likely))
    return name


def _read(graph: Graph, file: Given, colours: str | None, beside: Path) -> Arrays:
    from hearth.arrays import ARRAY, ARRAYS, read_array, read_arrays
    from hearth.image.folder import ENDINGS

    ending = file.path.suffix.lower()
    if ending == ARRAYS:
        arrays = read_arrays(file.path)
        if not file.name:
            return arrays
        wanted = file.name if len(arrays) != 1 else next(iter(arrays))
        if wanted not in arrays:
            raise UsageError(f"{file.path} has no array {wanted!r}.", why=f"It has: {', '.join(arrays) or 'none'}.")
        return {file.name: arrays[wanted]}
    if ending != ARRAY and ending not in ENDINGS:
        raise UsageError(
            f"{file.path} is neither an array nor a picture.",
            why=f"Arrays end in {ARRAY} or {ARRAYS}, pictures in {', '.join(ENDINGS)}.",
        )
    if not file.name and len(graph.inputs) != 1:
        raise UsageError(f"Which input is {file.path} for?", why=_takes(graph), hint=f"Say --input NAME={file.path}.")
    name = _known(graph, file.name or next(iter(graph.inputs)))
    return {name: read_array(file.path) if ending == ARRAY else _picture(graph, name, file.path, colours, beside)}


def _picture(graph: Graph, name: str, path: Path, colours: str | None, beside: Path) -> NDArray[Any]:
    import numpy as np

    from hearth.image import read_image
    from hearth.image.tensor import as_input, rules_beside, rules_of, shape_for_pictures

    tensor = graph.inputs[name]
    shape = shape_for_pictures(tensor.most)
    if shape is None or tensor.dtype not in _OF_PICTURES:
        raise UsageError(
            f"{name} takes no picture.",
            why=f"It is {_described(tensor)}; a picture is {' or '.join(_OF_PICTURES)} of (1, 3, height, width) or"
            " (1, height, width, 3).",
        )
    pixels = read_image(path)
    if tensor.dtype == "u8":
        return np.rint(as_input(pixels, rules_of("bytes"), shape)).astype(np.uint8)
    return as_input(pixels, rules_beside(beside) if colours is None else rules_of(colours), shape)


def random_inputs(graph: Graph, given: Mapping[str, NDArray[Any]], sizes: Mapping[str, int], seed: int) -> Arrays:
    """Random numbers for the inputs that are not given: floats of a normal distribution, whole numbers within their
    bounds, or 0 and 1 where they have none.

    Args:
        sizes: of open axes; others are as the given arrays have them, or the least.

    Raises:
        UsageError: a size is not the graph's, or outside of its bounds.
    """
    import numpy as np

    known = {name: low for name, (low, _) in graph.sizes.items()} | _sizes_of(graph, given)
    for name, size in sizes.items():
        if name not in graph.sizes:
            raise UsageError(f"The graph has no open size {name!r}.", why=f"Open: {', '.join(graph.sizes) or 'none'}.")
        low, high = graph.sizes[name]
        if not low <= size <= high:
            raise UsageError(f"{name} cannot be {size}.", why=f"The graph was compiled for {low} to {high}.")
        known[name] = size
    rng = np.random.default_rng(seed)
    return {
        name: _random(rng, tensor, [size if isinstance(size, int) else known[size] for size in tensor.shape])
        for name, tensor in graph.inputs.items()
        if name not in given
    }


def _random(rng: np.random.Generator, tensor: TensorInfo, shape: Sequence[int]) -> NDArray[Any]:
    import numpy as np

    from hearth.runtime.info import DTYPES

    dtype = DTYPES[tensor.dtype]
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if isinstance(tensor.low, int) and isinstance(tensor.high, int):
        return rng.integers(tensor.low, tensor.high, shape, dtype, endpoint=True)
    return rng.integers(0, 255 if dtype == np.uint8 else 1, shape, dtype, endpoint=True)


def _sizes_of(graph: Graph, given: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """What the given arrays say of open sizes."""
    return {
        axis: size
        for name, array in given.items()
        for axis, size in zip(graph.inputs[name].shape, array.shape, strict=False)
        if isinstance(axis, str)
    }


def require_all(graph: Graph, inputs: Mapping[str, NDArray[Any]]) -> None:
    """Raises UsageError where an input is missing."""
    missing = [name for name in graph.inputs if name not in inputs]
    if missing:
        raise UsageError(
            f"No file is named for {', '.join(missing)}.",
            why=_takes(graph),
            hint=f"Say --input {missing[0]}=FILE, or --random to try the graph with random numbers.",
        )


def _takes(graph: Graph) -> str:
    return f"It takes {', '.join(f'{name} ({_described(tensor)})' for name, tensor in graph.inputs.items()) or 'none'}."


def _described(tensor: TensorInfo) -> str:
    """`f32, 1 x 3 x 224 x 224`."""
    return f"{tensor.dtype}, {shape_text(tensor.shape)}"
